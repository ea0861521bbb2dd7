"""Images, sounds and weight folders are read in a confined process with the same result as in-process reading;
oversized ones are refused with a message and never read in this process."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import soundfile
import torch
from PIL import Image
from safetensors.torch import load_file
from streamlit.testing.v1 import AppTest

from netloom.compile import CompileError
from netloom.compile.importers import UnreadableModelError
from netloom.data import DataError, images
from netloom.data.uploads.sounds import soundfiles
from netloom.document import apply
from netloom.sandbox import keep_folder, read_picture, read_sound
from netloom.sandbox.examples import as_json, from_json
from netloom.store import open_store, weights
from netloom.templates import architectures
from netloom.training import StartError, pretrained
from netloom.training.pretrained import folder as folders
from tests.sandbox.test_confined import png_of_size as picture_of_size
from tests.training.test_pretrained import BERT, GPT2, bert_weights, gpt2_weights, small_bert, written

pytestmark = pytest.mark.usefixtures("component_manifests")

RATE = 8_000
# Memory limits that suffice for ordinary files, in GB. PyTorch takes more with CUDA.
ENOUGH_FOR_SOUNDS, ENOUGH_FOR_FOLDERS = "0.3", "0.45" if torch.version.cuda is None else "0.9"
ENOUGH_FOR_WEIGHTS = "1.0"


def photo_file(width: int, height: int, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def sound_file(seconds: int, rate: int, channels: int = 1, kind: str = "WAV", *, silent: bool = False) -> bytes:
    file = io.BytesIO()
    second = np.random.default_rng(0).normal(size=(rate, channels)) * (0.0 if silent else 0.1)
    with soundfile.SoundFile(file, "w", rate, channels, format=kind, subtype="PCM_16") as written:
        for _ in range(seconds):
            written.write(second)
    return file.getvalue()


@pytest.fixture(scope="module")
def long_silence() -> bytes:
    """About 10 kB that decode to 0.4 GB."""
    return sound_file(60, 192_000, 8, "FLAC", silent=True)


@pytest.fixture
def read_elsewhere(long_silence: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forbid decoding user files in this process; `long_silence` is written before."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("A file is read in the process of the web server.")

    for owner, name in ((Image, "open"), (soundfile, "SoundFile"), (folders, "open_folder"), (folders, "read_json")):
        monkeypatch.setattr(owner, name, refuse)


@pytest.mark.parametrize(("width", "height", "kind"), [(3, 5, "PNG"), (28, 28, "BMP"), (400, 300, "JPEG")])
def test_sandboxed_image_matches_in_process_reading(width: int, height: int, kind: str) -> None:
    content = photo_file(width, height, kind)
    pixels = read_picture(content, "a", 256)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, images.picture(content, "a", 256))


@pytest.mark.parametrize(("rate", "channels", "kind"), [(RATE, 1, "WAV"), (44_100, 2, "WAV"), (16_000, 1, "FLAC")])
def test_sandboxed_sound_matches_in_process_reading(rate: int, channels: int, kind: str) -> None:
    content = sound_file(2, rate, channels, kind)
    expected = soundfiles.read_sound(content, "a", RATE)
    np.testing.assert_array_equal(read_sound(content, "a", RATE, 10**6), expected)
    np.testing.assert_array_equal(read_sound(content, "a", RATE, 100), expected[:100])


@pytest.mark.usefixtures("read_elsewhere")
@pytest.mark.parametrize(
    ("content", "message"),
    [(lambda: picture_of_size(50_000, 50_000), "megapixels"), (lambda: b"GIF89a" * 9, "damaged"), (bytes, "damaged")],
)
def test_unreadable_image_is_refused_with_a_message(content: Callable[[], bytes], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_picture(content(), "a.png", 256)


@pytest.mark.usefixtures("read_elsewhere")
def test_oversized_sound_is_refused_with_a_message(monkeypatch: pytest.MonkeyPatch, long_silence: bytes) -> None:
    content, before = long_silence, psutil.Process().memory_info().rss
    assert len(content) < 2**17
    monkeypatch.setenv("NETLOOM_UPLOAD_MEMORY_GB", ENOUGH_FOR_SOUNDS)
    with pytest.raises(DataError, match=r"memory.*\.$"):
        read_sound(content, "a.flac", RATE, RATE)
    assert psutil.Process().memory_info().rss - before < 2**25
    with pytest.raises(DataError, match="not a readable sound"):
        read_sound(b"RIFF" + bytes(99), "a.wav", RATE, RATE)


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": [3, 10**12]},
        {"shape": [-1, -6]},
        {"shape": "many"},
        {"shape": None},
        {"dtype": "|O"},
        {"bytes": "AAAA"},
        {"bytes": "?"},
        {"bytes": 7},
    ],
)
def test_malformed_sandbox_answer_is_refused(changes: dict[str, Any]) -> None:
    values = np.arange(6, dtype=np.uint8).reshape(2, 3)
    answer = json.loads(json.dumps(as_json(values)))
    np.testing.assert_array_equal(from_json(answer, values.dtype, "a"), values)
    others: tuple[Any, ...] = ({**answer, **changes}, [], None, "text")
    for wrong in others:
        with pytest.raises(DataError, match="cannot be read"):
            from_json(wrong, values.dtype, "a")


def test_sandboxed_weights_match_in_process_loading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETLOOM_UPLOAD_MEMORY_GB", ENOUGH_FOR_WEIGHTS)
    store, project = open_store(tmp_path / "home"), small_bert(4)
    folder = written(tmp_path / "tiny", BERT, bert_weights())
    expected = pretrained.load_tensors(project, pretrained.open_folder(folder))
    start, remarks = keep_folder(store, project, folder)
    assert remarks == expected.remarks
    loaded = load_file(weights.path(store.home, start.removeprefix("weights:")))
    assert loaded.keys() == expected.weights.keys()
    assert all(torch.equal(loaded[name], expected.weights[name]) for name in loaded)


def many_names(folder: Path) -> None:
    """A safetensors file whose header consists of tensor names only."""
    places = {f"t{number}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for number in range(400_000)}
    head = json.dumps(places).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(head)) + head)


def an_endless_head(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 2**62) + b"{")


def a_deep_config(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type":' + "[" * 3_000_000)


def a_long_config(folder: Path) -> None:
    (folder / "config.json").write_text("[" + "{}," * 6_000_000 + "{}]")


HOSTILE: dict[Callable[[Path], None], str] = {
    many_names: "memory",
    an_endless_head: "safetensors",
    a_deep_config: "config.json cannot be read",
    a_long_config: "memory",
}


@pytest.mark.usefixtures("read_elsewhere")
@pytest.mark.parametrize("damage", HOSTILE, ids=lambda damage: damage.__name__)
def test_hostile_weights_folder_is_refused_with_a_message(
    damage: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, project = open_store(tmp_path / "home"), small_bert(4)
    damage(folder := written(tmp_path / "tiny", BERT, bert_weights()))
    monkeypatch.setenv("NETLOOM_UPLOAD_MEMORY_GB", ENOUGH_FOR_FOLDERS)
    before = psutil.Process().memory_info().rss
    with pytest.raises(UnreadableModelError, match=HOSTILE[damage]):
        keep_folder(store, project, folder)
    assert psutil.Process().memory_info().rss - before < 2**26
    assert not list(store.home.glob("weights/*"))


def test_unmatched_weights_and_invalid_networks_are_refused(tmp_path: Path) -> None:
    store, project = open_store(tmp_path / "home"), architectures()["lenet5"].project
    folder = written(tmp_path / "tiny", GPT2, gpt2_weights())
    with pytest.raises(StartError, match="None of these weights match"):
        keep_folder(store, project, folder)
    node = next(key for key, node in project.main_network.nodes.items() if node.type == "Conv2d")
    wrong = apply(project, {"kind": "set", "network": "main", "node": node, "params": {"kernel": 999}})
    with pytest.raises(CompileError) as refused:
        keep_folder(store, wrong, folder)
    assert refused.value.issues


def image_page() -> None:
    import numpy as np
    import streamlit as st

    from netloom.data import DataError
    from netloom.modalities.encoding.image_field import ImageEncoder, ImageState
    from netloom.ui.components.examples.custom_example import picture_input

    state = ImageState(name="image", encoding="image", shape=[3, 8, 8], mean=0.0, std=1.0, scale=1 / 255)
    field = ImageEncoder(state)
    try:
        st.session_state["found"] = picture_input(field, np.zeros((3, 8, 8)), "x")
    except DataError as error:
        st.error(str(error))


def sound_page() -> None:
    import numpy as np
    import streamlit as st

    from netloom.data import DataError
    from netloom.modalities.encoding.field_encoder import field_encoder
    from netloom.ui.components.examples.custom_example import sound_input

    field = field_encoder(
        {"name": "sound", "encoding": "series", "shape": [12_000, 1], "rate": 8_000, "mean": 0, "std": 1}
    )
    try:
        st.session_state["found"] = sound_input(field, np.linspace(-1, 1, 12_000), "x")
    except DataError as error:
        st.error(str(error))


def run_upload_page(page: Callable[[], None]) -> AppTest:
    app = AppTest.from_function(page, default_timeout=60).run()
    app.segmented_control(key="x way").set_value("Upload").run()
    return app


def upload_errors(app: AppTest, name: str, content: bytes) -> list[str]:
    """The errors that the page shows for a file."""
    app.file_uploader[0].set_value((name, content, "application/octet-stream")).run()
    assert not app.exception
    return [item.value for item in app.error]


def test_explain_page_accepts_image_and_refuses_oversized_one(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    content = photo_file(300, 200)
    pixels = images.picture(content, "a.png", 256)
    from netloom.modalities.encoding.image_field import sized

    expected = np.clip(sized(pixels.astype(np.float32), 3, 8, 8) / 255, 0, 1) * 255
    request.getfixturevalue("read_elsewhere")
    app = run_upload_page(image_page)
    assert not upload_errors(app, "a.png", content)
    np.testing.assert_allclose(app.session_state["found"], expected, rtol=1e-6)
    (error,) = upload_errors(app, "b.png", picture_of_size(50_000, 50_000))
    assert "megapixels" in error
    # A refused file is not read again by the next page rerun.
    monkeypatch.setattr("netloom.ui.components.examples.custom_example.read_picture", None)
    app.run()
    assert not app.exception
    assert [item.value for item in app.error] == [error]


def test_explain_page_accepts_sound_and_refuses_oversized_one(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, long_silence: bytes
) -> None:
    content = sound_file(1, 16_000)
    expected = soundfiles.read_sound(content, "a.wav", RATE)
    request.getfixturevalue("read_elsewhere")
    monkeypatch.setenv("NETLOOM_UPLOAD_MEMORY_GB", ENOUGH_FOR_SOUNDS)
    app = run_upload_page(sound_page)
    assert not upload_errors(app, "a.wav", content)
    samples = app.session_state["found"]
    np.testing.assert_array_equal(samples[: len(expected), 0], expected)
    assert not samples[len(expected) :].any()
    (error,) = upload_errors(app, "b.flac", long_silence)
    assert "memory" in error
