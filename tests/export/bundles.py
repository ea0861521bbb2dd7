"""Runs the scripts of exported bundles in this process: a new interpreter would import torch again."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def modules_of(folder: Path) -> Iterator[None]:
    """Import modules from a folder first. Those of other bundles have the same names, so they are forgotten before, and
    its own after."""
    names = {path.stem for path in folder.iterdir() if path.suffix == ".py" or path.is_dir()}
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        _forget(names)
        yield
        _forget(names)


def _forget(names: set[str]) -> None:
    for module in [module for module in sys.modules if module.partition(".")[0] in names]:
        sys.modules.pop(module)
