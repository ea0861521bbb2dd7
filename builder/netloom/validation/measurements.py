"""Measurements of the layers of a project by a worker, for a process that checks networks without PyTorch."""

from __future__ import annotations

import traceback
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from netloom.core.delegation import Delegable
from netloom.document import Project
from netloom.layers import Layer
from netloom.validation.context_cache import ContextCache
from netloom.validation.measure import Measured, Specs, measure

Layers = dict[tuple[Layer, Specs], Measured]
# The number of measurements in memory, like the cache of `measure`.
_MOST = 16_384
_known: OrderedDict[tuple[Layer, Specs], Measured] = OrderedDict()


@dataclass(frozen=True)
class Measurements:
    """The measurements of layers by their input shapes, and the tracebacks of those for which Netloom itself failed."""

    layers: Layers = field(default_factory=dict)
    failures: dict[tuple[Layer, Specs], str] = field(default_factory=dict)

    def record(self, layer: Layer, specs: Specs) -> Measured:
        """Measure a layer in this process, like `measure`, and record the result."""
        try:
            measured = self.layers[layer, specs] = measure(layer, specs)
        except Exception:
            self.failures[layer, specs] = traceback.format_exc()
            raise
        return measured

    def read(self, layer: Layer, specs: Specs) -> Measured:
        """Return a recorded measurement.

        Raises:
            LayerFailedError: Netloom itself failed to measure it.
        """
        measured = self.layers.get((layer, specs)) or _known.get((layer, specs))
        if measured is None:
            failure = self.failures.get((layer, specs), "It was not measured.")
            raise LayerFailedError(failure.strip().rpartition("\n")[2]) from RuntimeError(failure)
        return measured


class LayerFailedError(RuntimeError):
    """A worker failed to measure a layer."""


class UnknownLayerError(BaseException):
    """A layer was not measured yet. Not an Exception, so that an analysis does not take it for a failure of Netloom."""


@Delegable
def measure_networks(project: Project) -> Measurements:
    """Return the measurements of all layers of a project whose input shapes are known. A web server delegates this to a
    worker."""
    measurements = Measurements()
    cache = ContextCache(project, None, measure=measurements.record)
    for name in (project.main, *project.networks):
        if cache.use(name) is None:  # the cache is full
            cache = ContextCache(project, None, measure=measurements.record)
            cache.use(name)
    return measurements


def known_measurement(layer: Layer, specs: Specs) -> Measured:
    """Return the measurement of a layer that a worker sent before.

    Raises:
        UnknownLayerError: it sent none.
    """
    measured = _known.get((layer, specs))
    if measured is None:
        raise UnknownLayerError
    return measured


def forget_known() -> None:
    """Remove all measurements, so that the next analysis needs a worker."""
    _known.clear()


def keep(layers: Mapping[tuple[Layer, Specs], Measured]) -> None:
    """Keep measurements for the next analysis."""
    _known.update(layers)
    while len(_known) > _MOST:
        _known.popitem(last=False)
