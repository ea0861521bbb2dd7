"""Interpreters with only the packages that an exported file needs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.export import bare


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bare.Interpreter]:
    """An interpreter with torch, safetensors and numpy."""
    interpreter = bare.Interpreter(
        bare.build(tmp_path_factory.mktemp("bare")), ("torch.export", "safetensors.torch", "numpy")
    )
    yield interpreter
    interpreter.close()


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bare.Interpreter]:
    """An interpreter with ONNX Runtime and numpy."""
    names = ("onnxruntime", "numpy")
    interpreter = bare.Interpreter(bare.build(tmp_path_factory.mktemp("runtime"), names), names)
    yield interpreter
    interpreter.close()
