"""Mute library warnings that are meant for programmers, such as those about Captum's hooks.

Filters are added to the whole process and stay: `warnings.catch_warnings` is not thread-safe, and could restore or keep
the filters of another thread that explains at the same time.
"""

from __future__ import annotations

import warnings

# Matched by message, because several warnings name the module of the caller.
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


# Warnings of PyTorch about its own `vmap` and forward-mode implementation.
MAPPING = (r"`torch\.jit\.script` is deprecated", r"There is a performance drop because we have not yet implemented")


def mute_captum() -> None:
    """Mute warnings of Captum."""
    _mute(CAPTUM)


def mute_mapping() -> None:
    """Mute warnings of `torch.func`."""
    _mute(MAPPING)


def _mute(messages: tuple[str, ...]) -> None:
    for message in messages:
        warnings.filterwarnings("ignore", message=message)


def mute_convergence() -> None:
    """Mute the warning that a linear classifier of scikit-learn did not converge."""
    from sklearn.exceptions import ConvergenceWarning

    warnings.filterwarnings("ignore", category=ConvergenceWarning)
