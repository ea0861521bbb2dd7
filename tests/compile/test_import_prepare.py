"""Input preparation of imported networks: stated in a remark, configurable, and stored in the document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from netloom import export
from netloom.compile.importers import UnreadableModelError, read_model
from netloom.compile.importers.preparation import parse_exported_preprocessing, parse_image_processor
from netloom.data import DataError, prepare
from netloom.document import DataChoice, ImageNormalization, Preparation, dumps, loads
from netloom.export.tracing import quiet
from tests.explain.models import fresh

pytestmark = pytest.mark.usefixtures("operators")

PIXELS = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
VIT = ImageNormalization(mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))


def save_program(model: nn.Module, x: torch.Tensor, path: Path) -> Path:
    with quiet():
        program = torch.export.export(model.eval(), (x,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
        torch.export.save(program, path)
    return path


PAIRS = pytest.param("same_digits", marks=pytest.mark.long)  # of the images of digits


@pytest.mark.parametrize("dataset", ["digits", "breast_cancer", "sine", "parts", PAIRS])
def test_each_preparation_scales_as_documented(dataset: str) -> None:
    raw = prepare(DataChoice(dataset=dataset, prepare="none"))
    for preparation in ("none", "scale", "standardize"):
        prepared = prepare(DataChoice(dataset=dataset, prepare=preparation))
        for field, field_state in zip(prepared.schema.inputs, prepared.preprocess.fields, strict=True):
            rows = prepared.inputs[field.name][prepared.split["train"]].double()
            raw_rows = raw.inputs[field.name][prepared.split["train"]].double()
            numeric_columns = [
                column
                for column, name in enumerate(field.columns)
                if len(set(raw_rows[..., column].flatten().tolist())) > 2
            ]
            if field.kind == "vector":
                rows, raw_rows = rows[:, numeric_columns], raw_rows[:, numeric_columns]
            if preparation == "none":
                torch.testing.assert_close(rows, raw_rows)
            elif preparation == "scale" and field.kind == "image":
                torch.testing.assert_close(rows, raw_rows / (16 if "digits" in dataset else 1), atol=1e-6, rtol=1e-6)
            elif preparation == "scale":
                assert (float(rows.amin()), float(rows.amax())) == pytest.approx((0, 1), abs=1e-6), field_state
            else:
                assert float(rows.mean()) == pytest.approx(0, abs=0.05)
                assert float(rows.std()) == pytest.approx(1, abs=0.05)


def test_images_are_normalized_as_the_imported_network_requires() -> None:
    scaled = prepare(DataChoice(dataset="shapes", options={"rows": 80}, prepare="scale"))
    channels = scaled.schema.inputs[0].shape[0]
    normalization = ImageNormalization(mean=(0.5, 0.4, 0.3)[:channels], std=(0.2, 0.3, 0.4)[:channels])
    normalized = prepare(DataChoice(dataset="shapes", options={"rows": 80}, prepare=normalization))
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (normalization.mean, normalization.std))
    torch.testing.assert_close(normalized.inputs["image"], (scaled.inputs["image"] - mean) / std, atol=1e-5, rtol=1e-5)
    row = normalized.encode(normalized.row(0), ["image"])  # as encoded for a prediction
    torch.testing.assert_close(row["image"][0], normalized.inputs["image"][0])
    with pytest.raises(DataError, match="has a mean for each of 2 channels"):
        prepare(DataChoice(dataset="digits", prepare=ImageNormalization(mean=(0.5, 0.5), std=(0.5, 0.5))))


def test_column_and_field_options_override_the_preparation() -> None:
    options: dict[str, Any] = {"columns": {"mean radius": {"scale": "standard"}}}
    table = prepare(DataChoice(dataset="breast_cancer", prepare="none", options=options)).fields[0]
    stds = {column.name: column.step for column in table.columns}
    assert stds.pop("mean radius") > 1
    assert set(stds.values()) == {1.0}
    options = {"fields": {"image": {"normalize": "unit"}}}
    field = prepare(DataChoice(dataset="digits", prepare="none", options=options)).image_field("image")
    assert (field.scale, float(field.mean), float(field.std)) == (1 / 16, 0.0, 1.0)


def test_regression_targets_are_standardized_only_with_the_inputs() -> None:
    assert prepare(DataChoice(dataset="diabetes")).fitted_numbers.std != (1.0,)
    for preparation in ("none", "scale"):
        prepared = prepare(DataChoice(dataset="diabetes", prepare=preparation))
        assert (prepared.fitted_numbers.mean, prepared.fitted_numbers.std) == ((0.0,), (1.0,))
        assert float(prepared.target.max()) > 100


def test_environments_reject_preparations_other_than_none() -> None:
    with pytest.raises(DataError, match="An environment defines the scale of its observations"):
        prepare(DataChoice(dataset="cartpole", prepare="scale"))
    columns = prepare(DataChoice(dataset="cartpole", prepare="none")).fields[0].columns
    assert {column.step for column in columns} == {1.0}


def test_document_round_trips_preparation_and_omits_the_default(tmp_path: Path) -> None:
    document = read_model(save_program(PIXELS, torch.rand(3, 1, 8, 8), tmp_path / "x.pt2")).project
    assert document.data.prepare == "scale"
    assert loads(dumps(document)) == document
    plain = document.model_copy(update={"data": DataChoice()})
    assert '"prepare"' not in dumps(plain)
    custom = document.model_copy(update={"data": DataChoice(prepare=VIT)})
    assert loads(dumps(custom)).data.prepare == VIT


@pytest.mark.parametrize(
    ("model", "x", "preparation", "choice", "message"),
    [
        (PIXELS, torch.rand(3, 1, 8, 8), None, "scale", "Inputs: pixels are fed from 0 to 1. The file does not define"),
        (PIXELS, torch.rand(3, 1, 8, 8), "standardize", "standardize", "Inputs: pixels are standardized by the"),
        (nn.Linear(4, 2), torch.rand(3, 4), None, "none", "Inputs: numbers are fed as they are in the data. The file"),
        (nn.Embedding(9, 2), torch.zeros(3, 4, dtype=torch.long), None, "standardize", ""),
    ],
)
def test_import_remarks_state_the_input_preparation(
    model: nn.Module, x: torch.Tensor, preparation: Preparation | None, choice: str, message: str, tmp_path: Path
) -> None:
    imported = read_model(save_program(model, x, tmp_path / "x.pt2"), prepare=preparation)
    assert imported.project.data.prepare == choice
    assert (
        imported.remarks[0].startswith(message)
        if message
        else not any("Inputs:" in remark for remark in imported.remarks)
    ) is True


def test_network_with_rescaling_layer_receives_raw_pixels(tmp_path: Path) -> None:
    layers: list[dict[str, Any]] = [
        {"class_name": "InputLayer", "config": {"batch_shape": [None, 8, 8, 1], "name": "x"}},
        {"class_name": "Rescaling", "config": {"name": "scaled", "scale": 1 / 255, "offset": 0.0}},
        {"class_name": "Flatten", "config": {"name": "flat"}},
        {"class_name": "Dense", "config": {"name": "head", "units": 2, "activation": "linear", "use_bias": True}},
    ]
    for skipped, choice in ((None, "none"), (1, "scale")):
        remaining = [layer for index, layer in enumerate(layers) if index != skipped]
        (tmp_path / "m.json").write_text(json.dumps({"class_name": "Sequential", "config": {"layers": remaining}}))
        assert read_model(tmp_path / "m.json").project.data.prepare == choice


@pytest.mark.parametrize(
    ("config", "choice"),
    [
        ({"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]}, VIT),
        ({"image_mean": [0.5], "image_std": [0.5], "rescale_factor": 1 / 127.5},
         ImageNormalization(rescale=1 / 127.5, mean=(0.5,), std=(0.5,))),
        ({"image_mean": [0.5], "image_std": [0.5], "do_rescale": False},
         ImageNormalization(rescale=1.0, mean=(0.5,), std=(0.5,))),
        ({"image_mean": [0.5], "image_std": [0.5], "do_normalize": False}, "scale"),
        ({"do_normalize": False, "do_rescale": False}, "none"),
        ({"do_normalize": False, "rescale_factor": 0.5}, ImageNormalization(rescale=0.5)),
    ],
)  # fmt: skip
def test_image_processor_config_is_parsed(config: dict[str, Any], choice: Any) -> None:
    assert parse_image_processor(config) == choice


@pytest.mark.parametrize("mean", ["half", [None], [], {"r": 1}, [float("inf")]])
def test_invalid_image_processor_config_is_refused(mean: Any) -> None:
    with pytest.raises(UnreadableModelError, match="image_mean and image_std"):
        parse_image_processor({"image_mean": mean, "image_std": [0.5]})


def test_exported_models_import_with_their_preparation(tmp_path: Path) -> None:
    run = fresh("image")
    for kind in ("onnx", "pt2"):
        path = tmp_path / f"again.{kind}"
        path.write_bytes(export.content(run, kind))
        imported = read_model(path)
        prepared = prepare(run.project.data.model_copy(update={"prepare": imported.project.data.prepare}))
        torch.testing.assert_close(prepared.inputs["image"], run.data.inputs["image"], atol=1e-5, rtol=1e-5)
        assert imported.remarks[0].endswith("From the file.")
    path.write_bytes(export.content(fresh("table"), "pt2"))
    assert read_model(path).project.data.prepare == "standardize"
    assert (
        parse_exported_preprocessing("")
        is parse_exported_preprocessing("[1]")
        is parse_exported_preprocessing('{"fields": [{}]}')
        is None
    )
