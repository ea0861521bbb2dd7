"""Warnings of libraries that are meant for programmers, such as those about the hooks that Captum sets, are not shown.

Filters are added for the whole process and stay. `warnings.catch_warnings` would put back the filters of another thread
that explains at the same time, or keep them for ever.
"""

from __future__ import annotations

import warnings

# By their beginnings, as several are raised with the caller's module, which may be any.
CAPTUM = (
    r"\s*Setting forward, backward hooks and attributes on non-linear",
    r"Setting backward hooks on ReLU activations",
    r"Input Tensor \d+ did not already require gradients",
    r"Input Tensor \d+ has a dtype of",
    r"Internal batch size cannot be less than the number of input examples",
    r"This method computes finite differences between evaluations at",
    r"Couldn't appropriately interpolate GradCAM attributions",
    r"Generator completed prior to given n_samples iterations",
    r"Minimum element in feature mask is not 0",
)


# What PyTorch says of itself where functions are mapped over rows or differentiated forwards.
MAPPING = (r"`torch\.jit\.script` is deprecated", r"There is a performance drop because we have not yet implemented")


def mute_captum() -> None:
    """Do not show what Captum warns of."""
    _mute(CAPTUM)


def mute_mapping() -> None:
    """Do not show what `torch.func` warns of."""
    _mute(MAPPING)


def _mute(messages: tuple[str, ...]) -> None:
    for message in messages:
        warnings.filterwarnings("ignore", message=message)


def mute_convergence() -> None:
    """Do not show that a linear classifier of scikit-learn has not come to rest."""
    from sklearn.exceptions import ConvergenceWarning

    warnings.filterwarnings("ignore", category=ConvergenceWarning)
