"""`netloom generate`: texts as the functions of runs generate them, images as files, and options without effect."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netloom.cli.selection import load_trained_run
from netloom.runs import start
from netloom.runs.prediction.latent_samples import sample_latents
from netloom.runs.prediction.sampling import Sampling
from netloom.runs.prediction.text_generation import generate
from netloom.store import open_store
from netloom.templates import templates
from tests.cli.conftest import Trained, called
from tests.runs.examples import trained_here

NAMES = ("tales_gpt", "dates_gru", "digits_vae")


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A data folder with a run of each template with its random initialization, and their ids."""
    home = tmp_path_factory.mktemp("generating")
    store, runs = open_store(home), {}
    for name in NAMES:
        project = templates()[name].project
        short = project.model_copy(update={"training": project.training.model_copy(update={"epochs": 0})})
        with trained_here():
            runs[name] = start(store, store.create_project(short), short)
    store.close()
    return home, runs


def test_a_text_is_continued_and_answered(untrained: tuple[Path, dict[str, str]]) -> None:
    home, runs = untrained
    answer = called(
        "--home", home, "generate", runs["tales_gpt"], "The ", "--seed", 3, "--length", 7, "--top-k", 4, "--json"
    )
    store = open_store(home)
    trained = load_trained_run(store, runs["tales_gpt"])
    *_, last = generate(trained, {trained.fields[0]: "The "}, Sampling(0.8, 4, 1.0, 3), 7)
    store.close()
    assert answer.value == {"text": last.text, "tokens": 7}
    plainly = called("--home", home, "generate", runs["tales_gpt"], "The ", "--seed", 3, "--length", 7, "--top-k", 4)
    assert plainly.out == f"{last.text}\n"
    assert called("--home", home, "generate", runs["dates_gru"], "12 march 2021").code == 0


def test_images_have_the_values_of_the_samples(untrained: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    home, runs = untrained
    answer = called(
        "--home", home, "generate", runs["digits_vae"], "--count", 3, "--seed", 5, "--to", tmp_path / "new", "--json"
    )
    store = open_store(home)
    samples = sample_latents(load_trained_run(store, runs["digits_vae"]), 5, 3)
    store.close()
    assert [item["latents"] for item in answer.value] == samples.latents.tolist()
    for item, image in zip(answer.value, samples.images, strict=True):
        assert np.abs(np.asarray(Image.open(item["file"])) / 255 - image[0]).max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("tales_gpt", [], "needs a TEXT"),
        ("tales_gpt", ["a", "--count", 2], "--count is for runs that generate images"),
        ("tales_gpt", ["a", "--temperature", -1], "temperature must be a number from 0"),
        ("tales_gpt", ["a", "--length", 0], "from 1 to 2,000"),
        ("digits_vae", [], "--to FOLDER"),
        ("digits_vae", ["--to", "x", "--top-k", 3], "--top-k is for runs that generate texts"),
        ("digits_vae", ["--to", "x", "--count", 0], "number of images must be from 1"),
    ],
)
def test_options_without_effect_are_refused(
    untrained: tuple[Path, dict[str, str]],
    name: str,
    options: list[object],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home, runs = untrained
    monkeypatch.chdir(tmp_path)
    answer = called("--home", home, "generate", runs[name], *options)
    assert answer.code in (1, 2)
    assert message in answer.err
    assert not list(tmp_path.iterdir())


def test_a_classifier_generates_nothing(trained: Trained) -> None:
    answer = called("--home", trained.home, "generate", "last", "a")
    assert "neither texts nor images" in answer.err
