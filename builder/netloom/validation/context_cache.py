"""The contexts of a project: each use of a network is measured once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from netloom.document import Project
from netloom.document.expression import Number
from netloom.layers import TensorSpec
from netloom.validation.context import Context
from netloom.validation.issue import Issue
from netloom.validation.measure import Measure, measure
from netloom.validation.network_measurement import MAX_USES, measure_network

if TYPE_CHECKING:
    from netloom.data import Schema


class ContextCache:
    """The contexts of a project: one for each combination of a network, parameter values and input shapes."""

    def __init__(
        self,
        project: Project,
        schema: Schema | None,
        before: Mapping[str, Context] | None = None,
        measure: Measure = measure,
    ) -> None:
        self.project, self.schema, self.before, self.measure = project, schema, before or {}, measure
        self._uses: dict[object, Context] = {}

    @property
    def contexts(self) -> list[Context]:
        """All contexts, each after those of the networks in it."""
        return list(self._uses.values())

    def finish(self) -> list[Issue]:
        """Compute the totals, release the previous contexts, and return the failures of Netloom itself."""
        self.before = {}
        for context in self.contexts:
            _ = context.totals
            context.before = None
        return [issue for context in self.contexts for issue in context.faults]

    def use(
        self,
        name: str,
        values: Mapping[str, Number] | None = None,
        inputs: Mapping[str, TensorSpec] | None = None,
        around: tuple[str, ...] = (),
    ) -> Context | None:
        """Return the context of a network with parameter values and input tensors; None if the cache is full."""
        network = self.project.networks[name]
        network_values = {key: (values or {}).get(key, default) for key, default in network.parameters.items()}
        key = (name, tuple(network_values.items()), tuple((inputs or {}).items()))
        if key not in self._uses:
            if len(self._uses) >= MAX_USES:
                return None
            before = self.before.get(name)
            context = Context(
                self.project, name, self.schema, self, network_values, inputs or {}, around, before=before
            )
            measure_network(context)
            # After the measurement, which adds the networks inside it, so that `contexts` lists those first
            self._uses[key] = context
        return self._uses[key]
