"""Stored weights: content-addressed, complete or absent, and only safetensors."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save

from netloom.store import NotFoundError, StoreError, weights


def safetensors_bytes(value: float = 1.0) -> bytes:
    return save({"linear_1.weight": np.full((2, 3), value, np.float32), "linear_1.bias": np.zeros(2, np.float32)})


def stored_files(home: Path) -> list[str]:
    folder = home / "weights"
    return sorted(os.listdir(folder)) if folder.exists() else []


def test_weights_are_stored_by_their_digest(home: Path) -> None:
    content = safetensors_bytes()
    digest = weights.keep(home, content)
    assert digest == hashlib.sha256(content).hexdigest()
    file = weights.path(home, digest)
    assert file == weights.verified(home, digest)
    assert file.read_bytes() == content
    assert load_file(file)["linear_1.weight"].tolist() == [[1.0] * 3] * 2
    assert weights.shapes(file) == {"linear_1.bias": (2,), "linear_1.weight": (2, 3)}


def test_equal_weights_are_stored_once(home: Path) -> None:
    first = weights.keep(home, safetensors_bytes())
    before = weights.path(home, first).stat().st_mtime_ns
    assert weights.keep(home, safetensors_bytes()) == first
    assert weights.path(home, first).stat().st_mtime_ns == before
    second = weights.keep(home, safetensors_bytes(2.0))
    assert stored_files(home) == sorted(f"{digest}.safetensors" for digest in (first, second))


def header(value: object, data: bytes = b"") -> bytes:
    text = json.dumps(value).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 a zip",
        b"\x80\x04\x95 a pickle",
        safetensors_bytes()[:-1],
        safetensors_bytes() + b"more",
        header({}),
        header({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 4]}}, b"1234"),
        header({"w": {"dtype": "F32", "shape": [1], "data_offsets": [8, 12]}}, b"123456789012"),
        struct.pack("<Q", 2**60) + b"{}",
    ],
    ids=["empty", "zip", "pickle", "cut", "longer", "no tensor", "wrong size", "hole", "huge header"],
)
def test_invalid_weights_are_refused_and_leave_no_file(home: Path, content: bytes) -> None:
    with pytest.raises(StoreError, match=r"safetensors.*\.$"):
        weights.keep(home, content)
    assert stored_files(home) == []


def test_too_large_weights_are_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "MAX_BYTES", 20)
    with pytest.raises(StoreError, match="at most 20"):
        weights.keep(home, safetensors_bytes())
    assert stored_files(home) == []


@pytest.mark.parametrize("digest", ["0" * 64, "", "../netloom", "A" * 64])
def test_missing_weights_are_refused_with_a_message(home: Path, digest: str) -> None:
    with pytest.raises(NotFoundError, match="import the model again"):
        weights.path(home, digest)


def test_damaged_weights_are_detected(home: Path) -> None:
    digest = weights.keep(home, safetensors_bytes())
    file = weights.path(home, digest)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(StoreError, match="damaged"):
        weights.verified(home, digest)


def test_unwritable_folder_is_refused_with_a_message(home: Path) -> None:
    (home / "weights").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be saved"):
        weights.keep(home, safetensors_bytes())


def test_weights_module_does_not_import_torch() -> None:
    code = "import sys, netloom.store.weights; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.strip() == b"False"
