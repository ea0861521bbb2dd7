"""The check of weights on a page, which does not import PyTorch for it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from netloom.training.weights import weight_files
from netloom.training.weights.weight_files import CheckpointError, check_weights, save_weights


def test_checksum_is_verified_without_reading_tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    types = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64")
    tensors = {name: torch.arange(6).reshape(2, 3).to(getattr(torch, name)) for name in types}
    save_weights(tmp_path / "weights", {**tensors, "scalar": torch.tensor(0.5), "empty": torch.zeros(0, 3)})

    def refuse(_: Path) -> None:
        raise AssertionError("The tensors were read.")

    with monkeypatch.context() as patch:
        patch.setattr(weight_files, "read_weights", refuse)
        check_weights(tmp_path / "weights")
    content = bytearray((tmp_path / "weights").read_bytes())
    content[-1] ^= 1
    (tmp_path / "changed").write_bytes(content)
    (tmp_path / "short").write_bytes(content[:-1])
    for name in ("changed", "short"):
        with pytest.raises(CheckpointError, match="damaged"):
            check_weights(tmp_path / name)
