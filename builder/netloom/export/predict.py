"""Predict with a network that was trained in Netloom: python predict.py [FILE]

FILE is JSON (one row, a list of rows, or a row a line) or CSV (a header, then one row a line), with the columns that
example.json shows; without FILE, example.json itself is read. Prints a JSON answer for each row, in which "unknown"
lists the categories that training did not have, and "unreadable" the cells that cannot be read and are taken as
missing. Needs the packages of README.md.
"""

import json
import sys
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from decode import decode  # type: ignore[import-not-found]
from encoding.cells import EncodeError  # type: ignore[import-not-found]
from encoding.rows import encode_rows  # type: ignore[import-not-found]
from encoding.text_fields import write, written  # type: ignore[import-not-found]
from encoding.tokenization import last_places  # type: ignore[import-not-found]
from network import load_network  # type: ignore[import-not-found]
from probability import logits  # type: ignore[import-not-found]
from raw_rows import summarize_warnings, unknown_categories, with_warnings  # type: ignore[import-not-found]
from row_file import FileError, read_rows  # type: ignore[import-not-found]

HERE = Path(__file__).resolve().parent
BATCH = 512


def load(folder: Path = HERE) -> tuple[torch.nn.Module, dict[str, Any]]:
    """Return the network with its trained weights, and the preprocessing that was fitted on the training data."""
    preprocess: dict[str, Any] = json.loads((folder / "preprocess.json").read_text(encoding="utf-8"))
    return load_network(folder), preprocess


def predict(network: torch.nn.Module, preprocess: dict[str, Any], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return an answer for each raw row."""
    answers: list[dict[str, Any]] = []
    for start in range(0, len(rows), BATCH):
        arrays = encode_rows(preprocess, rows[start : start + BATCH])
        predict_batch = PREDICTORS.get(preprocess["target"]["kind"], predict_decoded)
        answers += predict_batch(network, preprocess, arrays)
    return with_warnings(answers, unknown=unknown_categories(preprocess, rows))  # type: ignore[no-any-return]


def predict_decoded(
    network: torch.nn.Module, preprocess: dict[str, Any], arrays: dict[str, Any]
) -> list[dict[str, Any]]:
    """Return the decoded outputs of one pass through the network."""
    return decode(preprocess, outputs(network, preprocess, arrays), arrays)  # type: ignore[no-any-return]


def predict_next_token(
    network: torch.nn.Module, preprocess: dict[str, Any], arrays: dict[str, Any]
) -> list[dict[str, Any]]:
    """Return the likely tokens after the end of each text."""
    output = outputs(network, preprocess, arrays)
    # Texts are padded at the end, and the next token follows the last real one.
    positions = last_places(arrays[preprocess["arguments"][0]])
    last = output[torch.arange(len(output)), torch.from_numpy(positions)].unsqueeze(1)
    return decode(preprocess, last, arrays)  # type: ignore[no-any-return]


def predict_texts(network: torch.nn.Module, preprocess: dict[str, Any], arrays: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a generated text for each row."""
    return [{"prediction": text} for text in texts(network, preprocess, arrays)]


# By the kind of target; all others are decoded from the outputs
PREDICTORS = {"next_token": predict_next_token, "sequence": predict_texts}


def outputs(network: torch.nn.Module, preprocess: dict[str, Any], arrays: dict[str, Any]) -> Any:
    """Return the output of the network, a tensor or several; probabilities, as after a softmax, become logits."""
    with torch.no_grad():
        output = network(*[torch.from_numpy(arrays[name]) for name in preprocess["arguments"]])
    scales = preprocess.get("scales") or [None]
    if not isinstance(output, tuple):
        return logits(output, *scales[0]) if scales[0] else output
    return tuple(logits(tensor, *scale) if scale else tensor for tensor, scale in zip_longest(output, scales))


def texts(network: torch.nn.Module, preprocess: dict[str, Any], arrays: dict[str, Any]) -> list[str]:
    """Generate a text for each row, token by token, always with the most likely one (greedy decoding)."""
    decoder_field = preprocess["fields"][-1]

    def scores(so_far: Any) -> Any:
        # `so_far` is a view of the buffer that `write` fills; a copy is contiguous and does not change.
        decoder_arrays = {**arrays, decoder_field["name"]: so_far.copy()}
        return outputs(network, preprocess, decoder_arrays).numpy()

    tokens = write(decoder_field["length"], len(arrays[decoder_field["name"]]), scores)
    return [written(decoder_field["vocabulary"], line) for line in tokens.tolist()]


def read(path: Path, preprocess: dict[str, Any]) -> Any:
    """Return the rows of a JSON or CSV file, or the row of a JSON file with a single one.

    In CSV, the cell of an image or a series is a list in JSON.
    """
    file = read_rows(path.read_bytes(), path.name, preprocess)
    return file.rows[0] if file.is_single else file.rows


def main() -> int:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "example.json"
    try:
        network, preprocess = load()
        file = read_rows(path.read_bytes(), path.name, preprocess)
        answers = file.annotated(predict(network, preprocess, file.rows))
    except (EncodeError, FileError, OSError, ValueError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 1
    for remark in (*file.notes, *summarize_warnings(answers)):
        print(remark, file=sys.stderr)
    print(json.dumps(answers[0] if file.is_single else answers, indent=1, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
