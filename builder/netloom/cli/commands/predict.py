"""`netloom predict`: the predictions of a run for the rows of a file."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from netloom.cli.command import Command, Context
from netloom.cli.rows import read_rows
from netloom.cli.selection import add_model_argument, add_run_argument, load_trained_run
from netloom.cli.text import number, table
from netloom.core.text import plain


class Predict(Command):
    """Encodes raw rows as the training rows were encoded, and predicts."""

    name = "predict"
    summary = "predict the rows of a file with the network of a run"

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_run_argument(parser)
        add_model_argument(parser)
        parser.add_argument(
            "file",
            metavar="FILE",
            help="CSV with a header; JSON: one row, a list of rows or one row per line; Parquet, Excel, ARFF or "
            "SVMlight; series in .ts files; intents.json, or sentences with a word per line; an image, a sound, a text "
            "(.txt), or a zip of images, sounds, texts or pairs of images; - for standard input",
        )

    def run(self, arguments: Namespace, context: Context) -> int:
        from netloom.data.tables.raw_rows import summarize_warnings
        from netloom.runs.prediction.batch_prediction import predict_rows
        from netloom.store import open_store

        trained = load_trained_run(open_store(context.home), arguments.run)
        if arguments.model is not None:
            from netloom.compression.opened_variant import open_variant_with_note

            trained, note = open_variant_with_note(trained, Path(arguments.model))
            if note:
                context.note(note)
        file = read_rows(arguments.file, trained.preprocess.to_json())
        predictions = file.annotated(predict_rows(trained, file.rows))
        for remark in (*file.notes, *summarize_warnings(predictions)):
            context.note(plain(remark))
        names = list(map(plain, file.names)) or range(1, len(file.rows) + 1)
        rows: list[tuple[object, ...]] = [
            (name, _prediction_text(answer)) for name, answer in zip(names, predictions, strict=True)
        ]
        # A forecast has the names in its answers
        numbers = () if trained.data.schema.target.forecast else trained.data.schema.target.number_names
        title = f"prediction: {plain(', '.join(numbers))}" if len(numbers) > 1 else "prediction"
        columns: tuple[str, ...] = (plain(file.name_column) or "row", title)
        for column, text in (("probability", _probability_text), ("remark", _confidence_text)):
            if any(map(text, predictions)):
                columns = (*columns, column)
                rows = [(*row, text(answer)) for row, answer in zip(rows, predictions, strict=True)]
        context.answer(predictions, table(columns, rows, right=("row", "probability")))
        return 0


def _prediction_text(prediction: dict[str, Any]) -> str:
    """Return the prediction as text; for a segmentation mask, the share of pixels per class, and for objects, the
    class, the score and the box of each."""
    value = prediction["prediction"]
    if "shares" in prediction:
        return ", ".join(f"{plain(name)} {share:.0%}" for name, share in prediction["shares"].items())
    if isinstance(value, list) and all(isinstance(item, dict) and "box" in item for item in value):
        objects = (
            f"{plain(item['class'])} {item['score']:.0%} at ({', '.join(f'{side:.2f}' for side in item['box'])})"
            for item in value
        )
        return "; ".join(objects) or "no object"
    return _value_text(value)


def _value_text(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{plain(str(name))}: {_value_text(part)}" for name, part in value.items())
    if isinstance(value, list):
        return ", ".join(map(_value_text, value))
    if isinstance(value, float):
        return number(value)
    return repr(value) if value == "" or str(value).isspace() else str(value)


def _probability_text(prediction: dict[str, Any]) -> str:
    """Return the probability of the predicted class, which is not the most probable one where a threshold decides, or
    of each predicted label."""
    probabilities, predicted = prediction.get("probabilities"), prediction.get("prediction")
    if not probabilities:
        return ""
    shares = [probabilities[name] for name in (predicted if isinstance(predicted, list) else [predicted])]
    return ", ".join(f"{share:.1%}" for share in shares)


def _confidence_text(prediction: dict[str, Any]) -> str:
    """Return what the calibration of the run adds: the prediction set or interval, and whether it abstains."""
    parts = []
    if prediction.get("abstained"):
        parts.append(f"abstains: {prediction['reason']}")
    if "prediction_set" in prediction:
        parts.append(f"one of {', '.join(map(plain, prediction['prediction_set']))}")
    if "interval" in prediction:
        interval = prediction["interval"]
        parts.append(f"from {_value_text(interval['low'])} to {_value_text(interval['high'])}")
    return "; ".join(parts)
