"""Guided backpropagation."""

from __future__ import annotations

from typing import Any

from netloom.explain.attribution.modified_relu import Rectified


class GuidedBackprop(Rectified):
    """The gradient, of which each ReLU lets pass only what speaks for the answer and where it was active."""

    name = "guided_backprop"
    title = "Guided Backprop"
    summary = "The gradient with negative values removed at each ReLU; sharp, but known to redraw edges"
    url = "https://arxiv.org/abs/1412.6806"
    shown_by = "Adebayo and others 2018"

    def backprop(self) -> type[Any]:
        from captum.attr import GuidedBackprop as Captum

        found: type[Any] = Captum
        return found
