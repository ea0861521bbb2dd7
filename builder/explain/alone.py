"""One method at a time where it draws from the random numbers that all threads share."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

import numpy as np
import torch

# Captum draws from the global generators of torch and NumPy, which belong to the whole process.
_LOCK = RLock()


@contextmanager
def alone(seed: int) -> Iterator[None]:
    """Seed every generator, keep other such methods out, and put everything back at the end, even after an error."""
    with _LOCK:
        states = torch.get_rng_state(), np.random.get_state(), random.getstate()
        try:
            torch.manual_seed(seed)
            np.random.seed(seed % 2**32)
            random.seed(seed)
            with warnings.catch_warnings():
                # What Captum remarks on, such as the hooks that it sets, is meant for programmers.
                warnings.simplefilter("ignore")
                yield
        finally:
            torch.set_rng_state(states[0])
            np.random.set_state(states[1])
            random.setstate(states[2])
