"""What the tests of explanations share."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest


@pytest.fixture(scope="session", autouse=True)
def _nodes() -> Iterator[None]:
    """Captum works out the nodes of Gauss and Legendre twice for each integral; here once for each number of steps."""
    legendre = np.polynomial.legendre
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(legendre, "leggauss", cache(legendre.leggauss))
        yield
