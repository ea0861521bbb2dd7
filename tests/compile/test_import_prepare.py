"""The preparation of an imported network's inputs is stated, can be chosen, and is part of the document."""

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

PIXELS = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
VIT = ImageNormalization(mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))


def written(model: nn.Module, x: torch.Tensor, path: Path) -> Path:
    with quiet():
        program = torch.export.export(model.eval(), (x,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
        torch.export.save(program, path)
    return path


@pytest.mark.parametrize("dataset", ["digits", "breast_cancer", "sine", "parts", "same_digits"])
def test_each_preparation_is_what_it_says(dataset: str) -> None:
    raw = prepare(DataChoice(dataset=dataset, prepare="none"))
    for how in ("none", "scale", "standardize"):
        made = prepare(DataChoice(dataset=dataset, prepare=how))
        for field, given in zip(made.schema.inputs, made.preprocess["fields"], strict=True):
            rows = made.inputs[field.name][made.split["train"]].double()
            plain = raw.inputs[field.name][made.split["train"]].double()
            numbers = [
                place for place, name in enumerate(field.columns) if len(set(plain[..., place].flatten().tolist())) > 2
            ]
            if field.kind == "vector":
                rows, plain = rows[:, numbers], plain[:, numbers]
            if how == "none":
                torch.testing.assert_close(rows, plain)
            elif how == "scale" and field.kind == "image":
                torch.testing.assert_close(rows, plain / (16 if "digits" in dataset else 1), atol=1e-6, rtol=1e-6)
            elif how == "scale":
                assert (float(rows.amin()), float(rows.amax())) == pytest.approx((0, 1), abs=1e-6), given
            else:
                assert float(rows.mean()) == pytest.approx(0, abs=0.05)
                assert float(rows.std()) == pytest.approx(1, abs=0.05)


def test_pictures_are_prepared_as_an_imported_network_asks() -> None:
    made = prepare(DataChoice(dataset="shapes", options={"rows": 80}, prepare="scale"))
    channels = made.schema.inputs[0].shape[0]
    moments = ImageNormalization(mean=(0.5, 0.4, 0.3)[:channels], std=(0.2, 0.3, 0.4)[:channels])
    found = prepare(DataChoice(dataset="shapes", options={"rows": 80}, prepare=moments))
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (moments.mean, moments.std))
    torch.testing.assert_close(found.inputs["image"], (made.inputs["image"] - mean) / std, atol=1e-5, rtol=1e-5)
    row = found.encode(found.row(0), ["image"])  # as a prediction has it
    torch.testing.assert_close(row["image"][0], found.inputs["image"][0])
    with pytest.raises(DataError, match="has a mean for each of 2 channels"):
        prepare(DataChoice(dataset="digits", prepare=ImageNormalization(mean=(0.5, 0.5), std=(0.5, 0.5))))


def test_what_is_set_for_a_column_or_a_field_comes_first() -> None:
    options: dict[str, Any] = {"columns": {"mean radius": {"scale": "standard"}}}
    table = prepare(DataChoice(dataset="breast_cancer", prepare="none", options=options)).fields[0]
    stds = {column.name: column.column["std"] for column in table.columns}
    assert stds.pop("mean radius") > 1
    assert set(stds.values()) == {1.0}
    options = {"fields": {"image": {"normalise": "unit"}}}
    field = prepare(DataChoice(dataset="digits", prepare="none", options=options)).image_field("image")
    assert (field.scale, float(field.mean), float(field.std)) == (1 / 16, 0.0, 1.0)


def test_predicted_numbers_stay_in_their_units_unless_inputs_are_standardized() -> None:
    assert prepare(DataChoice(dataset="diabetes")).fitted_numbers.std != (1.0,)
    for how in ("none", "scale"):
        made = prepare(DataChoice(dataset="diabetes", prepare=how))
        assert (made.fitted_numbers.mean, made.fitted_numbers.std) == ((0.0,), (1.0,))
        assert float(made.target.max()) > 100


def test_an_environment_declares_its_own_scales() -> None:
    with pytest.raises(DataError, match="An environment declares the scales"):
        prepare(DataChoice(dataset="cartpole", prepare="scale"))
    columns = prepare(DataChoice(dataset="cartpole", prepare="none")).fields[0].columns
    assert {column.column["std"] for column in columns} == {1.0}


def test_a_document_holds_it_and_older_ones_keep_their_bytes(tmp_path: Path) -> None:
    found = read_model(written(PIXELS, torch.rand(3, 1, 8, 8), tmp_path / "x.pt2")).project
    assert found.data.prepare == "scale"
    assert loads(dumps(found)) == found
    plain = found.model_copy(update={"data": DataChoice()})
    assert '"prepare"' not in dumps(plain)
    own = found.model_copy(update={"data": DataChoice(prepare=VIT)})
    assert loads(dumps(own)).data.prepare == VIT


@pytest.mark.parametrize(
    ("model", "x", "wanted", "choice", "said"),
    [
        (PIXELS, torch.rand(3, 1, 8, 8), None, "scale", "Inputs: pixels are fed from 0 to 1. The file does not define"),
        (PIXELS, torch.rand(3, 1, 8, 8), "standardize", "standardize", "Inputs: pixels are standardized by the"),
        (nn.Linear(4, 2), torch.rand(3, 4), None, "none", "Inputs: numbers are fed as they are in the data. The file"),
        (nn.Embedding(9, 2), torch.zeros(3, 4, dtype=torch.long), None, "standardize", ""),
    ],
)
def test_an_import_says_how_its_inputs_are_prepared(
    model: nn.Module, x: torch.Tensor, wanted: Preparation | None, choice: str, said: str, tmp_path: Path
) -> None:
    found = read_model(written(model, x, tmp_path / "x.pt2"), prepare=wanted)
    assert found.project.data.prepare == choice
    assert (found.remarks[0].startswith(said) if said else not any("Inputs:" in one for one in found.remarks)) is True


def test_a_network_that_scales_by_itself_takes_pixels_as_they_are(tmp_path: Path) -> None:
    layers: list[dict[str, Any]] = [
        {"class_name": "InputLayer", "config": {"batch_shape": [None, 8, 8, 1], "name": "x"}},
        {"class_name": "Rescaling", "config": {"name": "scaled", "scale": 1 / 255, "offset": 0.0}},
        {"class_name": "Flatten", "config": {"name": "flat"}},
        {"class_name": "Dense", "config": {"name": "head", "units": 2, "activation": "linear", "use_bias": True}},
    ]
    for skipped, choice in ((None, "none"), (1, "scale")):
        kept = [layer for place, layer in enumerate(layers) if place != skipped]
        (tmp_path / "m.json").write_text(json.dumps({"class_name": "Sequential", "config": {"layers": kept}}))
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
def test_a_preprocessor_config_is_read(config: dict[str, Any], choice: Any) -> None:
    assert parse_image_processor(config) == choice


@pytest.mark.parametrize("mean", ["half", [None], [], {"r": 1}, [float("inf")]])
def test_a_broken_preprocessor_config_is_a_sentence(mean: Any) -> None:
    with pytest.raises(UnreadableModelError, match="image_mean and image_std"):
        parse_image_processor({"image_mean": mean, "image_std": [0.5]})


def test_what_netloom_exported_is_prepared_as_it_was(tmp_path: Path) -> None:
    run = fresh("image")
    for kind in ("onnx", "pt2"):
        path = tmp_path / f"again.{kind}"
        path.write_bytes(export.content(run, kind))
        again = read_model(path)
        made = prepare(run.project.data.model_copy(update={"prepare": again.project.data.prepare}))
        torch.testing.assert_close(made.inputs["image"], run.data.inputs["image"], atol=1e-5, rtol=1e-5)
        assert again.remarks[0].endswith("From the file.")
    path.write_bytes(export.content(fresh("table"), "pt2"))
    assert read_model(path).project.data.prepare == "standardize"
    assert (
        parse_exported_preprocessing("")
        is parse_exported_preprocessing("[1]")
        is parse_exported_preprocessing('{"fields": [{}]}')
        is None
    )
