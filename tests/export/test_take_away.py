"""What the export command and the Export tab say about the file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from netloom import export, runs
from netloom.cli import main
from netloom.store import open_store
from netloom.templates import templates
from tests.runs.examples import trained_here

pytestmark = pytest.mark.usefixtures("operators", "component_manifests")

FORMATS = [kind.name for kind in export.export_formats()]
# One that names its contents, one with weights and one without; the tests of the command write every format.
BUILT_ON_THE_PAGE = ("bundle", "pt2", "svg")


@dataclass(frozen=True)
class Kept:
    home: Path
    project: str
    run: str


@pytest.fixture(scope="module")
def trained_home(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """A data folder with a trained project."""
    folder: Path = tmp_path_factory.mktemp("kept")
    store = open_store(folder)
    project = templates()["spirals"].project
    short = project.model_copy(update={"training": project.training.model_copy(update={"epochs": 2})})
    project_id = store.create_project(short)
    with trained_here():
        run = runs.start(store, project_id, short)
    assert runs.wait(store, run, 120).state == "finished"
    store.close()
    return Kept(folder, project_id, run)


@pytest.mark.parametrize("kind", FORMATS)
def test_export_command_reports_difference_in_json(
    kind: str, trained_home: Kept, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(["--home", str(trained_home.home), "export", "last", "--format", kind, "--to", str(tmp_path), "--json"])
        == 0
    )
    out, err = capsys.readouterr()
    assert not err
    value = json.loads(out)
    assert value.keys() == {"run", "format", "file", "bytes", "difference", "tolerance"}
    (file,) = tmp_path.iterdir()
    assert (value["file"], value["bytes"], value["run"]) == (str(file), file.stat().st_size, trained_home.run)
    if export.registry()[kind].tolerance is None:
        assert value["difference"] is None
        assert value["tolerance"] is None
    else:
        assert 0 <= value["difference"] <= value["tolerance"] <= 1e-4


def test_export_command_describes_verification_result(
    trained_home: Kept, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind, words in (("onnx", "is allowed"), ("bundle", "bit for bit"), ("svg", "no weights")):
        assert main(["--home", str(trained_home.home), "export", "last", "--format", kind, "--to", str(tmp_path)]) == 0
        assert words in capsys.readouterr().out


def test_export_command_discards_file_above_tolerance(
    trained_home: Kept, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(export.registry()["bundle"]), "tolerance", -1.0)
    assert main(["--home", str(trained_home.home), "export", "last", "--to", str(tmp_path)]) == 1
    assert "was discarded" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def open_export_tab(finished: Kept, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("NETLOOM_HOME", str(finished.home))
    monkeypatch.delenv("NETLOOM_DATABASE_URL", raising=False)
    monkeypatch.setattr("netloom.runs.warm", lambda store: None)  # no run follows
    st.cache_resource.clear()
    st.cache_data.clear()
    root = Path(__file__).parents[2]
    app = AppTest.from_file(str(root / "pages" / "train.py"), default_timeout=60).run()
    assert not app.exception
    app.session_state[f"results {finished.run}"] = "Export"
    app.run()
    assert not app.exception
    return app


def download_buttons(app: AppTest) -> list[Any]:
    """The buttons that download a network; the one of the curves is left out."""
    return [button for button in app.get("download_button") if button.proto.label != "CSV"]


def test_page_offers_every_format_and_bundle_first(trained_home: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_export_tab(trained_home, monkeypatch)
    (choice,) = [radio for radio in app.radio if radio.label == "Format"]
    titles = [kind.title for kind in export.export_formats()]
    assert sorted(choice.options) == sorted(titles)
    assert choice.options[0] == export.registry()["bundle"].title
    assert choice.index == 0
    captions = list(choice.proto.captions)
    assert sorted(captions) == sorted(kind.summary for kind in export.export_formats())
    for number, title in enumerate(choice.options):
        app = app.radio(key=f"format {trained_home.run}").set_value(number).run()
        assert not download_buttons(app), "nothing is offered before it is prepared"
        (kind,) = [item for item in export.export_formats() if item.title == title]
        if kind.name not in BUILT_ON_THE_PAGE:
            continue
        app = app.button(key=f"prepare {trained_home.run}").click().run()
        assert not app.error
        assert not app.exception
        (button,) = download_buttons(app)
        label = button.proto.label
        assert label == (
            "Download zip (source, weights, prediction script)"
            if kind.name == "bundle"
            else f"Download two-spirals{kind.suffix}"
        )
        captions_shown = [item.value for item in app.caption]
        assert any(("no weights" if kind.tolerance is None else "app's") in value for value in captions_shown), (
            captions_shown
        )


def test_page_shows_error_for_damaged_weights(trained_home: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process writes the file, and the page has to show its error."""
    app = open_export_tab(trained_home, monkeypatch)
    (weights,) = trained_home.home.glob(f"runs/**/{trained_home.run}/best.safetensors")
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-64])
    try:
        app = app.button(key=f"prepare {trained_home.run}").click().run()
    finally:
        weights.write_bytes(whole)
    assert "damaged" in app.error[0].value
    assert not download_buttons(app)
