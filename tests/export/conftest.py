"""Interpreters that have next to nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.export import bare


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bare.Interpreter]:
    """One with torch, safetensors and numpy."""
    made = bare.Interpreter(bare.build(tmp_path_factory.mktemp("bare")), ("torch.export", "safetensors.torch", "numpy"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bare.Interpreter]:
    """One with ONNX Runtime and numpy."""
    names = ("onnxruntime", "numpy")
    made = bare.Interpreter(bare.build(tmp_path_factory.mktemp("runtime"), names), names)
    yield made
    made.close()
