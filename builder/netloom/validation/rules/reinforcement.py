"""What a network that chooses actions is made of: an Output with a score for each action, and for PPO a second one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from netloom.layers import TensorSpec
from netloom.validation.context import Context, Totals
from netloom.validation.fixes import STEP, free_id
from netloom.validation.issue import Fix, Issue
from netloom.validation.rules.data import TARGETS, Width

# The objective that reads a value beside the actions.
WITH_VALUE = "ppo"


class Agents(Width):
    """The first Output has a score for each action; with PPO the second one has one number, the value."""

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        objective, schema = context.project.training.objective, context.schema
        if schema is None or schema.target.kind != "action" or TARGETS.get(objective) != "action":
            return
        outputs = list(context.network.ports("Output"))
        wanted = [(f"{len(schema.target.classes)} actions", len(schema.target.classes))]
        if objective == WITH_VALUE:
            wanted.append(("value", 1))
        if outputs and len(outputs) != len(wanted):
            yield self._count(context, outputs, len(wanted))
        for output, (what, width) in zip(outputs, wanted, strict=False):
            spec, needed = context.answer(output), TensorSpec((None, width))
            if spec is None or spec.shape == needed.shape:
                continue
            verb = "needs" if width == 1 else "of the environment need"
            message = f"{context.label(output)} gives {spec}, but the {what} {verb} {needed}."
            fix = self._fix(context, output, spec, needed)
            yield context.issue("width", message, output, port="in", fix=fix)

    def _count(self, context: Context, outputs: list[str], wanted: int) -> Issue:
        if wanted == 1:
            message = "Training reads one Output, a score for each action; this network has several."
            return context.issue("outputs", message, outputs[1])
        return context.issue(
            "outputs",
            "PPO reads two Outputs, first a score for each action and then one number, the value of what is seen; "
            f"this network has {len(outputs)}.",
            outputs[-1],
            fix=self._value(context, outputs[0]) if len(outputs) == 1 else None,
        )

    def _value(self, context: Context, output: str) -> Fix | None:
        """A Linear of one unit and an Output, which read what the last Linear of the actions reads."""
        linear = self._last_linear(context, output)
        edge = context.incoming[linear].get("in") if linear else None
        if linear is None or edge is None:
            return None
        name, network = context.name, context.network
        unit, end = free_id(network, "Linear"), free_id(network, "Output")
        places = [[network.nodes[key].at[0] + 2 * STEP, network.nodes[key].at[1]] for key in (linear, output)]
        edits: list[dict[str, Any]] = [
            {
                "kind": "add",
                "nodes": [
                    {"id": unit, "type": "Linear", "params": {"units": 1}, "title": "Value", "at": places[0]},
                    {"id": end, "type": "Output", "params": {"name": "value"}, "at": places[1]},
                ],
            },
            {"kind": "connect", "source": edge.source, "target": unit},
            {"kind": "connect", "source": unit, "target": end},
        ]
        return Fix("Add a value", {"kind": "batch", "edits": [{**edit, "network": name} for edit in edits]})
