"""Exports of measured variants: ONNX files in place of the network of a run."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from netloom.api import export_run, load_run
from netloom.compression import registry
from netloom.compression.opened_variant import open_variant
from netloom.export import ExportError, content, export_formats, filename
from netloom.export.onnx_network import OnnxNetwork
from netloom.runs import TrainedRun
from netloom.runs.prediction.external_network import ExternalNetwork
from tests.cli.conftest import Trained, called

pytestmark = pytest.mark.usefixtures("operators")
METHODS = ("dynamic_int8", "weight_only_int4", "low_rank")


@pytest.fixture(scope="module")
def files(digits: TrainedRun, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("variants")
    for name in METHODS:
        (folder / f"{name}.onnx").write_bytes(registry()[name].compress(digits).content)
    return {name: folder / f"{name}.onnx" for name in METHODS}


def network_in(page: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(page)) as archive:
        return archive.read("model.onnx")


@pytest.mark.parametrize("method", METHODS)
def test_web_page_and_onnx_file_have_the_network_of_the_variant(
    digits: TrainedRun, files: dict[str, Path], method: str
) -> None:
    variant = open_variant(digits, files[method])
    file, page = content(variant, "onnx"), content(variant, "web")
    assert network_in(page) == file
    row = [digits.data.inputs[name][:1] for name in digits.fields]
    (expected,) = OnnxNetwork(files[method].read_bytes()).outputs(row)
    (actual,) = OnnxNetwork(file).outputs(row)
    assert torch.equal(actual, expected)
    assert not torch.equal(actual, digits.model(*row))
    assert filename(variant, "web").endswith(f"-{method.replace('_', '-')}.web.zip")


def test_files_have_the_preprocessing_of_the_run_and_not_that_of_the_variant_file(
    digits: TrainedRun, files: dict[str, Path]
) -> None:
    """Such as the calibration of the run, which can change after the file was written."""
    import onnx

    model = onnx.load_model_from_string(files["low_rank"].read_bytes())
    written = {entry.key: entry for entry in model.metadata_props}
    outdated = json.loads(written["preprocess"].value) | {"target": {"kind": "outdated"}}
    written["preprocess"].value = json.dumps(outdated)
    files["low_rank"].with_name("outdated.onnx").write_bytes(model.SerializeToString())
    variant = open_variant(digits, files["low_rank"].with_name("outdated.onnx"))
    metadata = OnnxNetwork(content(variant, "onnx")).metadata
    assert json.loads(metadata["preprocess"])["target"]["kind"] == "class"
    assert metadata.keys() == written.keys()


@pytest.mark.parametrize("name", [kind.name for kind in export_formats() if not kind.contains_onnx])
def test_other_formats_are_refused_in_words(digits: TrainedRun, files: dict[str, Path], name: str) -> None:
    with pytest.raises(ExportError, match=r"dynamic_int8\.onnx is an ONNX file, .*, or export the run itself\."):
        content(open_variant(digits, files["dynamic_int8"]), name)


def test_a_file_with_other_outputs_than_the_variant_is_not_written(digits: TrainedRun, files: dict[str, Path]) -> None:
    variant, other = (open_variant(digits, files[name]) for name in ("low_rank", "weight_only_int4"))
    mixed = ExternalNetwork(lambda batch: [variant.model(*batch)], files["weight_only_int4"].read_bytes())
    with pytest.raises(ExportError, match="differ from the app's by"):
        content(replace(other, model=mixed), "onnx")


def test_command_and_python_export_a_variant_without_the_card_of_the_run(
    trained: Trained, files: dict[str, Path], tmp_path: Path
) -> None:
    home, file, page = ("--home", trained.home), files["low_rank"], tmp_path / "page.zip"
    answer = called("export", trained.run, "--model", file, "--format", "web", "--to", page, "--json", *home)
    assert answer.code == 0, answer.err
    assert answer.value["difference"] <= answer.value["tolerance"]
    bundle = export_run(
        load_run(trained.run, model=file, home=trained.home), "bundle", tmp_path, home=trained.home
    ).path
    for path in (page, bundle):
        with zipfile.ZipFile(path) as archive:
            assert "MODEL_CARD.md" not in archive.namelist()
    refused = called("export", trained.run, "--model", file, "--format", "pt2", "--to", tmp_path, *home)
    assert refused.code != 0
    assert "export it as Python bundle, ONNX, Production folder or Web page" in refused.err
