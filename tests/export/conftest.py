"""Interpreters that have next to nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.export import bare


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One with torch, safetensors and numpy."""
    return bare.build(tmp_path_factory.mktemp("bare"))


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One with ONNX Runtime and numpy."""
    return bare.build(tmp_path_factory.mktemp("runtime"), ("onnxruntime", "numpy"))
