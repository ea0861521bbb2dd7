"""Kept weights: named by what they hold, whole or not there at all, and nothing but safetensors."""

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


def made(value: float = 1.0) -> bytes:
    return save({"linear_1.weight": np.full((2, 3), value, np.float32), "linear_1.bias": np.zeros(2, np.float32)})


def kept(home: Path) -> list[str]:
    folder = home / "weights"
    return sorted(os.listdir(folder)) if folder.exists() else []


def test_kept_by_what_they_hold(home: Path) -> None:
    content = made()
    digest = weights.keep(home, content)
    assert digest == hashlib.sha256(content).hexdigest()
    file = weights.path(home, digest)
    assert file == weights.verified(home, digest)
    assert file.read_bytes() == content
    assert load_file(file)["linear_1.weight"].tolist() == [[1.0] * 3] * 2
    assert weights.shapes(file) == {"linear_1.bias": (2,), "linear_1.weight": (2, 3)}


def test_equal_weights_once_and_others_beside_them(home: Path) -> None:
    one = weights.keep(home, made())
    before = weights.path(home, one).stat().st_mtime_ns
    assert weights.keep(home, made()) == one
    assert weights.path(home, one).stat().st_mtime_ns == before
    two = weights.keep(home, made(2.0))
    assert kept(home) == sorted(f"{digest}.safetensors" for digest in (one, two))


def header(value: object, data: bytes = b"") -> bytes:
    text = json.dumps(value).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 a zip",
        b"\x80\x04\x95 a pickle",
        made()[:-1],
        made() + b"more",
        header({}),
        header({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 4]}}, b"1234"),
        header({"w": {"dtype": "F32", "shape": [1], "data_offsets": [8, 12]}}, b"123456789012"),
        struct.pack("<Q", 2**60) + b"{}",
    ],
    ids=["empty", "zip", "pickle", "cut", "longer", "no tensor", "wrong size", "hole", "huge header"],
)
def test_what_is_no_weights_is_refused_and_leaves_nothing(home: Path, content: bytes) -> None:
    with pytest.raises(StoreError, match=r"safetensors.*\.$"):
        weights.keep(home, content)
    assert kept(home) == []


def test_too_large_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "MAX_BYTES", 20)
    with pytest.raises(StoreError, match="at most 20"):
        weights.keep(home, made())
    assert kept(home) == []


@pytest.mark.parametrize("digest", ["0" * 64, "", "../netloom", "A" * 64])
def test_missing_is_a_sentence(home: Path, digest: str) -> None:
    with pytest.raises(NotFoundError, match="import the model again"):
        weights.path(home, digest)


def test_damage_is_found(home: Path) -> None:
    digest = weights.keep(home, made())
    file = weights.path(home, digest)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(StoreError, match="damaged"):
        weights.verified(home, digest)


def test_a_folder_that_cannot_be_written_is_a_sentence(home: Path) -> None:
    (home / "weights").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be saved"):
        weights.keep(home, made())


def test_torch_is_not_needed() -> None:
    code = "import sys, netloom.store.weights; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.strip() == b"False"
