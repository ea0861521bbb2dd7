"""Whether the task matches the data, its settings, and the Outputs of the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

from netloom.data.schema import TARGET_TYPES
from netloom.layers import TensorSpec
from netloom.layers.activation.activation import ActivationLayer
from netloom.layers.convolution.convolution import Conv2d
from netloom.layers.dense import Linear
from netloom.layers.normalization import Dropout
from netloom.layers.operations.shape import Reshape
from netloom.tasks import Problem, tasks, usual_task
from netloom.tasks.outputs import ExpectedOutput
from netloom.validation import fixes
from netloom.validation.context import Context
from netloom.validation.facts import Totals
from netloom.validation.issue import Fix, Issue
from netloom.validation.rule import Rule, Stage


class KnownTask(Rule):
    """The task is known, and the data has the kind of target that it learns from."""

    stage = Stage.TASK
    is_for_main_only = True

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        name, schema = context.project.training.objective, context.schema
        task = tasks().get(name)
        if task is None:
            names = ", ".join(tasks())
            yield context.issue("objective", f"There is no objective {name[:60]!r}; choose one of {names}.")
            return
        if schema is None or task.target in (None, schema.target.kind):
            return
        better = usual_task(schema.target.kind)
        fix, advice = None, "Choose another objective"
        if better is not None:
            advice = f"Change the objective to {better.name.replace('_', ' ')}"
            fix = Fix(advice, {"kind": "project", "training": {"objective": better.name}})
        yield context.issue(
            "objective",
            f"The objective {name.replace('_', ' ')} needs data whose target is {TARGET_TYPES[task.target].phrase}, "
            f"but the target of this data is {schema.target.type.phrase}. {advice}, or choose other data.",
            fix=fix,
        )


class Problems(Rule):
    """The data and the settings meet all other requirements of the task."""

    stage = Stage.TASK
    is_for_main_only = True

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        project = context.project
        task = tasks().get(project.training.objective)
        if task is None:
            return
        for problem in task.problems(context.schema, project.training, project.data):
            fix = self._fix(context, problem)
            yield context.issue(problem.code, problem.message, severity=problem.severity, fix=fix)

    def _fix(self, context: Context, problem: Problem) -> Fix | None:
        if not problem.fix:
            return None
        edit: dict[str, Any] = {"kind": "project"}
        if problem.training is not None:
            edit["training"] = dict(problem.training)
        if problem.options is not None:
            edit["data"] = {"options": {**context.project.data.options, **problem.options}}
        return Fix(problem.fix, edit)


class Outputs(Rule):
    """The network has the Outputs that its task expects, in number and in shape."""

    stage = Stage.TASK
    is_for_main_only = True

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        schema, training = context.schema, context.project.training
        task = tasks().get(training.objective)
        if schema is None or task is None:
            return
        if task.target not in (None, schema.target.kind) or not task.accepts(schema.target):
            # Otherwise outputs would be wrong only because the data does not fit the task.
            task = usual_task(schema.target.kind)
        expected = task.outputs(schema, training) if task else None
        outputs = list(context.network.ports("Output"))
        if task is None or expected is None or not outputs:
            return
        if len(outputs) != len(expected):
            yield self._count(context, task.reading(schema), outputs, expected)
            # Outputs are matched by position, so shapes would be compared with those of other outputs.
            if len(expected) > len(outputs) or task.joins_outputs:
                return
        specs = [context.output_spec(output) for output in outputs[: len(expected)]]
        for output, spec, expected_output in zip(outputs, specs, expected, strict=False):
            if spec is not None:
                yield from self._shape(context, output, spec, expected_output)
        shapes = {spec.shape for spec in specs if spec}
        if task.equal_widths and None not in specs and len(shapes) > 1:
            message = f"Both embeddings of a pair must have the same length; they are {specs[0]} and {specs[1]}."
            yield context.issue("width", message, outputs[1], port="in")

    def _count(self, context: Context, message: str, outputs: list[str], expected: tuple[ExpectedOutput, ...]) -> Issue:
        """Return the issue about too many or too few Outputs; a fix adds the missing ones if they are vectors."""
        widths = {
            output.name: output.shape[0]
            for output in expected[len(outputs) :]
            if output.shape and len(output.shape) == 1 and output.shape[0] is not None
        }
        missing = len(expected) - len(outputs)
        fix = self._added(context, outputs[0], expected[0].name, widths) if 0 < missing == len(widths) else None
        node = outputs[len(expected)] if len(outputs) > len(expected) else outputs[-1]
        return context.issue("outputs", f"{message}; this network has {len(outputs)}.", node, fix=fix)

    def _shape(self, context: Context, output: str, spec: TensorSpec, expected: ExpectedOutput) -> Iterator[Issue]:
        if expected.shape is None:
            if len(spec.shape) == 2:
                return
            expected_spec = TensorSpec((None, spec.size(1)))
            message = f"{context.label(output)} receives {spec}, but an embedding must be a vector for each example."
        else:
            needed = expected.resolved(spec.shape)
            if spec.shape[1:] == needed:
                return
            message = f"{context.label(output)} receives {spec}, but {expected.demand} {expected.text}."
            if needed is None:  # no layer makes a grid of a vector without knowing its size
                yield context.issue("width", message, output, port="in")
                return
            expected_spec = TensorSpec((None, *needed))
        yield context.issue("width", message, output, port="in", fix=self._fix(context, output, spec, expected_spec))

    def _added(self, context: Context, output: str, first: str, widths: Mapping[str, int]) -> Fix | None:
        """Return a fix that adds Outputs of these widths, each after a Linear beside the last one of `output`; None if
        it has none. An only Output gets the name `first`."""
        linear = self._last_linear(context, output)
        edge = context.incoming[linear].get("in") if linear else None
        if linear is None or edge is None:
            return None
        network = context.network
        edits: list[dict[str, Any]] = []
        if first and len(list(context.network.ports("Output"))) == 1 and not network.nodes[output].params.get("name"):
            edits.append({"kind": "set", "node": output, "params": {"name": first}})
            edits.append({"kind": "update", "node": linear, "title": first.capitalize()})
        for index, (name, width) in enumerate(widths.items(), 1):
            unit, end = fixes.free_id(network, "Linear", index), fixes.free_id(network, "Output", index)
            right = 2 * fixes.STEP * index
            at = [[network.nodes[key].at[0] + right, network.nodes[key].at[1]] for key in (linear, output)]
            nodes = [
                {"id": unit, "type": "Linear", "params": {"units": width}, "title": name.capitalize(), "at": at[0]},
                {"id": end, "type": "Output", "params": {"name": name}, "at": at[1]},
            ]
            edits += [
                {"kind": "add", "nodes": nodes},
                {"kind": "connect", "source": edge.source, "target": unit},
                {"kind": "connect", "source": unit, "target": end},
            ]
        title = f"Add the output{'s' * (len(widths) > 1)} {', '.join(widths)}"
        return Fix(title, {"kind": "batch", "edits": [{**edit, "network": context.name} for edit in edits]})

    def _fix(self, context: Context, output: str, spec: TensorSpec, expected: TensorSpec) -> Fix | None:
        edge, width = context.incoming[output]["in"], expected.size(-1)
        linear = self._last_linear(context, output)
        if linear and spec.is_image and len(expected.shape) == 2:
            # Such a Linear combines the pixels of a line; see LinearOnImages.
            layer = tasks()[context.project.training.objective].image_to_vector
            return fixes.insert(context.name, context.network, context.incoming[linear]["in"], layer, {})
        if prod(length or 0 for length in spec.shape[1:]) == prod(length or 1 for length in expected.shape[1:]):
            return fixes.insert(context.name, context.network, edge, "Reshape", {"shape": list(expected.shape[1:])})
        if resized := self._resized(context, edge.source_node, expected):
            return resized
        if len(spec.shape) > len(expected.shape) and len(expected.shape) == 2:
            layer = "GlobalAvgPool" if spec.is_image else "Flatten"
            return fixes.insert(context.name, context.network, edge, layer, {})
        if len(expected.shape) == 4 and spec.shape[2:] == expected.shape[2:]:
            if (
                isinstance(context.layers.get(edge.source_node), Conv2d)
                and context.graph.out_degree(edge.source_node) == 1
            ):
                title = f"Set {context.label(edge.source_node)} to {expected.size(1)} filters"
                return fixes.set_params(context.name, edge.source_node, {"filters": expected.size(1)}, title)
            params = {"filters": expected.size(1), "kernel_size": 1, "padding": 0}
            return fixes.insert(context.name, context.network, edge, "Conv2d", params)
        if spec.shape[:-1] != expected.shape[:-1]:
            return None
        if linear:
            title = f"Set {context.label(linear)} to {width} {'unit' if width == 1 else 'units'}"
            return fixes.set_params(context.name, linear, {"units": width}, title)
        return fixes.insert(context.name, context.network, edge, "Linear", {"units": width})

    def _resized(self, context: Context, reshape: str, expected: TensorSpec) -> Fix | None:
        """Return a fix that sets the Reshape before an Output, and the units of the Linear before it, as in the decoder
        of an autoencoder; None if there are no such layers."""
        is_reshape = isinstance(context.layers.get(reshape), Reshape) and context.graph.out_degree(reshape) == 1
        linear = self._last_linear(context, reshape) if is_reshape else None
        vector = context.output_spec(reshape)
        if linear is None or vector is None or len(vector.shape) != 2:
            return None
        shape = [length or 1 for length in expected.shape[1:]]
        edits = [
            {"kind": "set", "network": context.name, "node": linear, "params": {"units": prod(shape)}},
            {"kind": "set", "network": context.name, "node": reshape, "params": {"shape": shape}},
        ]
        title = f"Set {context.label(linear)} to {prod(shape)} units, and {context.label(reshape)} to {expected}"
        return Fix(title, {"kind": "batch", "edits": edits})

    def _last_linear(self, context: Context, output: str) -> str | None:
        """Return the Linear that sets the width of an Output, past activations and dropout; None if it is also used
        elsewhere."""
        edge = context.incoming[output].get("in")
        while edge is not None:
            layer = context.layers.get(edge.source_node)
            if isinstance(layer, Linear):
                shared = context.graph.out_degree(edge.source_node) > 1
                return None if shared else edge.source_node
            if not isinstance(layer, (ActivationLayer, Dropout)):
                return None
            edge = context.incoming[edge.source_node].get("in")
        return None
