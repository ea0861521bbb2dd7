"""Fixtures shared by the explanation tests."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest


@pytest.fixture(scope="session", autouse=True)
def _cached_quadrature_nodes() -> Iterator[None]:
    """Cache the Gauss-Legendre nodes: Captum computes them twice per integral, here once per number of steps."""
    legendre = np.polynomial.legendre
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(legendre, "leggauss", cache(legendre.leggauss))
        yield
