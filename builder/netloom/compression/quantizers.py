"""What the methods that use the quantizers of ONNX Runtime have in common."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


@contextmanager
def quiet() -> Iterator[None]:
    """Keep advice of the quantizer, which is for programmers, out of the log, and warnings of blocks of zeros, such as
    the embedding of padding: it divides them by their scale of zero, and the result is multiplied by that scale."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with np.errstate(divide="ignore", invalid="ignore"):
            yield
    finally:
        logger.setLevel(level)
