"""Conversion of one ONNX graph into a document: each operator becomes layers that compute the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from netloom.compile.importers.imported_model import (
    ONNX_EVALUATION,
    ONNX_FIXED,
    ImportedModel,
    UnreadableModelError,
)
from netloom.compile.importers.layer_graph.array_views import as_transposed_views, owner
from netloom.compile.importers.layer_graph.attention_projections import merge_projections
from netloom.compile.importers.layer_graph.graph_builder import GraphBuilder
from netloom.compile.importers.layer_graph.loop_body import LoopBody, report_loop_weights
from netloom.compile.importers.layer_graph.ports import add_input, add_output
from netloom.compile.importers.layer_graph.refusals import refusals_of
from netloom.compile.importers.layer_graph.response_norms import merge_response_norms
from netloom.compile.importers.layer_graph.values import (
    BATCH,
    MALFORMED_ERRORS,
    Constant,
    Tensor,
    UnsupportedOperatorError,
    Value,
)
from netloom.compile.importers.layer_graph.weight_tying import tie_weights
from netloom.compile.importers.onnx.constant_folding import fold_constant
from netloom.compile.importers.onnx.control_flow import CONTROL_FLOW
from netloom.compile.importers.onnx.operators import OPERATORS, Call, elementwise
from netloom.compile.importers.onnx.parser import (
    MAX_OPERATORS,
    Graph,
    InputInfo,
    Operator,
    short,
    with_inner,
)
from netloom.compile.importers.onnx.patterns import find_activations
from netloom.compile.importers.preparation import parse_exported_preprocessing
from netloom.compile.importers.repeats import group_repeats
from netloom.compile.importers.validity import check_network
from netloom.compile.placement import place
from netloom.core.text import plain
from netloom.document import Network, Project
from netloom.document.network import MAX_NODES
from netloom.layers import TensorSpec
from netloom.layers.io import input_parameters, reads_tokens

# The lengths of dynamic axes, because the inputs of a document have fixed lengths
IMAGE_SIDE, STEPS = 224, 64
# The name of results of operators that a loop applies between its steps; no tensor of a file has it
_APPLIED = "\0applied"
# Operators that have no layer, and are computed when their inputs are constants
_FOLDED_ONLY = {
    "Constant", "ConstantOfShape", "Shape", "Size", "Range", "Tile", "Mod", "Xor",
}  # fmt: skip


class OnnxImporter:
    """The import of one graph. Operators of control flow call it back, as their `Evaluator`."""

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph = graph
        self.name = plain(name)[:200] or graph.name or "Imported network"
        self.builder = GraphBuilder()
        tables = as_transposed_views(graph.tensors)
        self.builder.weight_tables |= {key: value for key, value in tables.items() if value.dtype == np.float32}
        self.values: dict[str, Value] = {key: Constant(value, key) for key, value in tables.items()}
        self.readers: dict[str, list[Operator]] = {}
        for item in with_inner(graph.operators):
            for key in item.inputs:
                self.readers.setdefault(key, []).append(item)
        self.skipped: set[int] = set()
        self.unrolled: set[int] = set()  # the loops that cannot be networks along an axis
        self.executed = 0  # operators of bodies, and those that loops apply between their steps
        bodies = [body for item in with_inner(graph.operators) for body in item.bodies]
        self.results = {*graph.outputs, *(key for body in bodies for key in body.outputs), _APPLIED}
        self.read_in_bodies = {key for body in bodies for item in body.operators for key in item.reads}

    def run(self) -> ImportedModel:
        self._check()
        for number, entry in enumerate(self.graph.inputs):
            self._input(entry, number)
        needed_values = (*self.results, *self.read_in_bodies)
        patterns = find_activations(self.graph.operators, self.graph.tensors, self.graph.opset, needed_values)
        unused = self._unused_operators(patterns)
        # Converters look at the readers of an output, among which unused operators do not count.
        self.readers = {
            key: [item for item in tensor_readers if id(item) not in unused]
            for key, tensor_readers in self.readers.items()
        }
        for item in self.graph.operators:
            if id(item) not in unused:
                self._checked_operator(item, patterns)
        for number, key in enumerate(self.graph.outputs):
            self._output(key, number)
        return self._finished()

    def _checked_operator(self, item: Operator, patterns: dict[str, Any]) -> None:
        if id(item) in self.skipped:
            self.skipped.discard(id(item))  # the next step of a loop executes the operator again
            return
        with refusals_of(f"{item.type} ({short(item.name)!r})", "follow the ONNX specification"):
            self._operator(item, patterns)

    def rolled(
        self, operator: Operator, loop: LoopBody, convert: Callable[[], list[Value]], readings: Iterable[str]
    ) -> list[Value] | None:
        """Convert one step of an operator into the builder of `loop`, as a network of its own.

        Tensors of this network among `readings`, the values that the step reads, become inputs of every step. Returns
        the result of `convert`, or None if the step cannot be converted on its own.
        """
        if id(operator) in self.unrolled:
            return None
        outer, values, skipped = self.builder, dict(self.values), set(self.skipped)
        self.builder = loop.step
        try:
            for key in dict.fromkeys(readings):
                value = values.get(key)
                if isinstance(value, Tensor):
                    self.values[key] = loop.constant(value)
            return convert()
        except (UnsupportedOperatorError, UnreadableModelError, *MALFORMED_ERRORS):
            self.skipped = skipped
            self.unrolled.add(id(operator))  # not tried again: nested loops would be converted 2 ** depth times
            return None
        finally:
            self.builder, self.values = outer, values

    def execute(self, operators: Sequence[Operator]) -> None:
        """Convert the operators of a body, as part of the network.

        Raises:
            UnsupportedOperatorError: The bodies of all steps have too many operators.
        """
        self._count(1 + len(operators))  # so that steps without operators count too
        for item in operators:
            self._checked_operator(item, {})

    def apply(self, kind: str, inputs: Sequence[Value], **attributes: Any) -> Value:
        """The first output of an operator on these inputs.

        Raises:
            UnsupportedOperatorError: The operator is not supported, or there are too many in loops.
        """
        self._count(1)
        names = tuple(f"{_APPLIED}{number}" for number in range(len(inputs)))
        self.values |= dict(zip(names, inputs, strict=True))
        self._operator(Operator(kind, kind.lower(), names, (_APPLIED,), attributes), {})
        return self.values[_APPLIED]

    def _count(self, operators: int) -> None:
        self.executed += operators
        if self.executed > MAX_OPERATORS:
            raise UnsupportedOperatorError(f"its unrolled loops have more than {MAX_OPERATORS:,} operators")

    def _check(self) -> None:
        supported = {*OPERATORS, *_FOLDED_ONLY, *CONTROL_FLOW}
        unknown = sorted({item.type for item in with_inner(self.graph.operators)} - supported)
        if unknown:
            names = ", ".join(short(kind) for kind in unknown[:12])
            omitted = f" and {len(unknown) - 12} more" if len(unknown) > 12 else ""
            raise UnreadableModelError(
                f"No layer corresponds to these operators of the file: {names}{omitted}. Replace them in the model "
                "with other operators, and export it again."
            )

    def _unused_operators(self, patterns: dict[str, Any]) -> set[int]:
        """The operators on which no output depends, or which an activation layer replaces."""
        producers = {key: item for item in self.graph.operators for key in item.outputs if key}
        needed, pending = set(), list(self.graph.outputs)
        while pending:
            key = pending.pop()
            item = producers.get(key)
            if item is None or id(item) in needed:
                continue
            needed.add(id(item))
            pending += [patterns[key][2]] if key in patterns else list(item.reads)
        return {id(item) for item in self.graph.operators} - needed

    def _input(self, entry: InputInfo, number: int) -> None:
        shape: list[int] = []
        for axis, size in enumerate(entry.shape):
            if axis == entry.batch:
                continue
            side = IMAGE_SIDE if len(entry.shape) == 4 and axis > 1 and not entry.is_integer else STEPS
            if size is None:
                self.builder.remark(
                    f"Axis {axis} of the input {short(entry.name)!r} has a dynamic length in the file; it is set to "
                    f"{side} here."
                )
            shape.append(size or side)
        batch = entry.shape[entry.batch]
        if batch not in (None, 1):
            self.builder.remark(
                f"The input {short(entry.name)!r} has a batch of {batch} in the file; after the import, "
                "the batch size is free."
            )
        params = input_parameters(TensorSpec((None, *shape), "int" if entry.is_integer else "float"))
        params["shape"] = shape  # an empty one is refused
        if reads_tokens(params):
            tables = (
                self.values.get(item.inputs[0]) for item in self.readers.get(entry.name, []) if item.type == "Gather"
            )
            sizes = [table.shape[0] for table in tables if isinstance(table, Constant) and table.array.ndim == 2]
            # Every token must exist in the smallest table; an Input needs at least two.
            params |= {"vocabulary": max(2, min(sizes))} if sizes else {}
        title = "input" if len(self.graph.inputs) == 1 else entry.name
        self.values[entry.name] = add_input(
            self.builder, title, params, len(entry.shape), entry.batch, repr(short(entry.name)), "file"
        )

    def _operator(self, operator: Operator, patterns: dict[str, Any]) -> None:
        if operator.outputs and operator.outputs[0] in patterns:
            kind, params, source = patterns[operator.outputs[0]]
            value = self._value(source)
            if isinstance(value, Tensor):
                self.values[operator.outputs[0]] = elementwise(self.builder, kind, value, operator.name, **params)
                return
        inputs = tuple(self._value(key) for key in operator.inputs)
        if operator.type in CONTROL_FLOW:
            results = CONTROL_FLOW[operator.type](operator, inputs, self)
            self.values |= {key: value for key, value in zip(operator.outputs, results, strict=False) if key}
            return
        # Shapes become constants in which BATCH stands for the batch, so that arithmetic on shapes can be folded.
        if operator.type in ("Shape", "Size") and isinstance(inputs[0], Tensor):
            shape = np.asarray(inputs[0].shape, np.int64)
            shape = shape[operator.attributes.get("start") : operator.attributes.get("end")]
            self.values[operator.outputs[0]] = Constant(
                shape if operator.type == "Shape" else np.asarray(math.prod(shape))
            )
            return
        if not any(isinstance(value, Tensor) for value in inputs):
            try:
                self._fold(operator, inputs)
                return
            except UnsupportedOperatorError:
                inputs = tuple(self._of_each_example(value) for value in inputs)
                if not any(isinstance(value, Tensor) for value in inputs):
                    raise
        if operator.type not in OPERATORS:
            raise UnsupportedOperatorError("no layer corresponds to it if its inputs are computed")
        reader_types = frozenset(reader.type for reader in self.readers.get(operator.outputs[0], []))
        used_outputs = tuple(bool(self.readers.get(key) or key in self.results) for key in operator.outputs)
        call = Call(
            operator.type,
            operator.name,
            inputs,
            operator.attributes,
            self.builder,
            self.graph.opset,
            used_outputs,
            reader_types,
        )
        fused = self._fuse_bias(operator, inputs)
        if fused is not None:
            call, operator = fused
        for key, value in zip(operator.outputs, OPERATORS[call.type](call), strict=False):
            if key and value is not None:
                self.values[key] = value

    def _fold(self, operator: Operator, inputs: Sequence[Value | None]) -> None:
        """Compute an operator on constants.

        Raises:
            UnsupportedOperatorError: It cannot be computed.
        """
        arrays = [value.array if isinstance(value, Constant) else None for value in inputs]
        results = fold_constant(operator, arrays)
        if results is None:
            raise UnsupportedOperatorError("none of its inputs depends on the inputs of the network")
        for key, array in zip(operator.outputs, results, strict=False):
            self.values |= {key: Constant(array, owner(self.builder.weight_tables, array))} if key else {}

    def _of_each_example(self, value: Value | None) -> Value | None:
        """A constant with a row for each example of the batch, such as an initial state, as a node; others as they
        are."""
        first = self.values[self.graph.inputs[0].name]
        if not isinstance(value, Constant) or value.shape[:1] != (BATCH,) or not isinstance(first, Tensor):
            return value
        like = Tensor(first.ref, first.spec, ((0,), *((),) * (len(value.shape) - 1)))
        return self.builder.add_constant(value, like, value.weight)

    def _fuse_bias(self, operator: Operator, inputs: tuple[Value | None, ...]) -> tuple[Call, Operator] | None:
        """A MatMul with constant weights and the Add of a constant that follows it, as one linear layer.

        This is how torch.onnx writes nn.Linear for inputs of more than two axes.
        """
        readers = self.readers.get(operator.outputs[0], [])
        if (
            operator.type != "MatMul"
            or len(readers) != 1
            or readers[0].type != "Add"
            or operator.outputs[0] in self.results
        ):
            return None
        weight = inputs[1]
        other_input = next((key for key in readers[0].inputs if key != operator.outputs[0]), "")
        bias = self.values.get(other_input)
        if not isinstance(weight, Constant) or weight.array.ndim != 2 or not isinstance(bias, Constant):
            return None
        # A scalar or a matrix is not the bias of a linear layer.
        if bias.shape != (weight.shape[1],):
            return None
        self.skipped.add(id(readers[0]))
        return (
            Call("BiasedMatMul", operator.name, (inputs[0], weight, bias), {}, self.builder, self.graph.opset),
            readers[0],
        )

    def _value(self, key: str) -> Value | None:
        if not key:
            return None
        if key not in self.values:
            raise UnsupportedOperatorError(f"it reads {short(key)!r}, which no earlier operator computes")
        return self.values[key]

    def _output(self, key: str, number: int) -> None:
        value = self.values.get(key)
        if value is None:
            raise UnreadableModelError(
                f"The output {short(key)!r} is not computed by any operator; the file is damaged."
            )
        if isinstance(value, Constant):
            self.builder.remark("the output does not depend on the input, so it was left out.", repr(short(key)))
            return
        name = plain(key)[:64] or f"output {number + 1}"
        add_output(self.builder, value, name, repr(short(key)), "file")

    def _finished(self) -> ImportedModel:
        """The validated document without unused nodes, and its weights as tensors."""
        import torch

        # Tied first, because the fusion of attention compares the owners of weights
        tie_weights(self.builder)
        # Unused nodes would prevent the fusion of attention, which in turn leaves unused nodes behind.
        self.builder.prune()
        attention = merge_projections(self.builder, untie=True)
        merge_response_norms(self.builder)
        self.builder.prune()
        for key, name in attention.items():
            self.builder.rename(key, name or "attention")
        if all(item.type != "Dropout" for item in self.graph.operators):
            self.builder.remark(ONNX_EVALUATION)
        for key, node in self.builder.nodes.items():
            if node.type == "Learned" and not node.frozen:
                self.builder.remark(ONNX_FIXED, key)
        nodes = self.builder.nodes
        if len(nodes) > MAX_NODES:
            raise UnreadableModelError(
                f"The network has {len(nodes):,} nodes; a document can have at most {MAX_NODES:,}."
            )
        network = Network(nodes=nodes, edges=tuple(self.builder.edges)).ordered(nodes, nodes)
        report_loop_weights(self.builder)
        project = Project(name=self.name, networks={"main": place(network), **self.builder.used_networks()})
        remarks = (*self.builder.remarks, *check_network(project))
        weights = {
            key: torch.from_numpy(np.array(array, order="C")) for key, array in self.builder.all_weights().items()
        }
        prepare = parse_exported_preprocessing(self.graph.preprocess)
        return group_repeats(ImportedModel(project, weights, remarks, prepare), untie=True)
