"""Conversion of a program into a layer graph: each operator becomes layers that compute the same."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np

from netloom.compile.importers.imported_model import TrainingFacts, UnreadableModelError, quoted
from netloom.compile.importers.layer_graph.attention_projections import merge_projections
from netloom.compile.importers.layer_graph.cell_loops import merge_cell_loops
from netloom.compile.importers.layer_graph.graph_builder import GraphBuilder
from netloom.compile.importers.layer_graph.loop_body import LoopBody, report_loop_weights
from netloom.compile.importers.layer_graph.ports import add_input, add_output
from netloom.compile.importers.layer_graph.refusals import refusals_of
from netloom.compile.importers.layer_graph.response_norms import merge_response_norms
from netloom.compile.importers.layer_graph.values import (
    MALFORMED_ERRORS,
    Constant,
    Tensor,
    UnsupportedOperatorError,
    Value,
)
from netloom.compile.importers.layer_graph.weight_tying import tie_weights
from netloom.compile.importers.torch_export.archive import Archive
from netloom.compile.importers.torch_export.constant_folding import arithmetic, fold_constant, write_constant
from netloom.compile.importers.torch_export.learned_constants import LearnedConstants, merge_shared
from netloom.compile.importers.torch_export.mutation import (
    check_in_place,
    needed_operators,
    with_written_parts,
    without_whole_slices,
    writes,
)
from netloom.compile.importers.torch_export.node_names import location, node_name, weight_name_of
from netloom.compile.importers.torch_export.operators import multihead
from netloom.compile.importers.torch_export.operators.table import (
    OPERATORS,
    READ_STATES,
    AtenCall,
    Spectrum,
    States,
    convert,
    with_whole_states,
)
from netloom.compile.importers.torch_export.program import (
    Body,
    InputInfo,
    Module,
    Operator,
    Program,
    Reference,
    with_inner,
)
from netloom.compile.importers.torch_export.supported_operators import (
    CHECKS,
    LENGTHS,
    check_supported,
    is_shape_arithmetic,
    table_name,
)
from netloom.compile.importers.torch_export.unused_parameters import report_unused
from netloom.layers import TensorSpec
from netloom.layers.io import input_parameters, reads_tokens

# The length of a dynamic axis if the file does not contain the length at export
STEPS = 64


class Reader:
    """The conversion of one program. `owners` is the module stack of each node."""

    def __init__(self, archive: Archive, program: Program, facts: TrainingFacts | None = None) -> None:
        program = with_written_parts(without_whole_slices(program))
        self.archive, self.program, self.facts = archive, program, facts
        attention_names = [item.name for item in program.operators if item.type == "scaled_dot_product_attention"]
        dropouts = facts.attention if facts and len(facts.attention) == len(attention_names) else ()
        self.dropouts = dict(zip(attention_names, dropouts, strict=False))
        self.builder = GraphBuilder()
        self.learned = LearnedConstants(self.builder, self._first_input)
        self.owners: dict[str, tuple[Module, ...]] = {}
        self.values: dict[str, Any] = dict(program.values)
        self.batch = self._batch()
        self.converted: set[str] = set()
        self.tried_modules: set[str] = set()

    def build(self) -> GraphBuilder:
        """The layer graph of the program, without unused nodes.

        Raises:
            UnreadableModelError: An operator cannot be converted; the message says which and why.
        """
        check_supported(self.program)
        for entry in self.program.inputs:
            self._input(entry)
        needed = needed_operators(self.program)
        check_in_place(self.program, needed)
        for item in self.program.operators:
            if item.name in needed and item.name not in self.converted and not self._multihead(item, needed):
                self._operator(item)
        for number, name in enumerate(self.program.outputs):
            self._output(name, number)
        for (root, *_), mask in self.builder.attention_masks.items():
            self._move_to_owner(mask.ref, str(root))
        # Tied first, because the fusion of attention compares the owners of weights
        tie_weights(self.builder)
        self.builder.prune()
        merge_shared(self.builder, self.owners, self._first_input())
        self.owners |= {new: self.owners[cell] for new, cell in merge_cell_loops(self.builder).items()}
        merge_projections(self.builder)
        self.owners |= {new: self.owners[last] for new, last in merge_response_norms(self.builder).items()}
        self.builder.prune()
        report_loop_weights(self.builder)
        report_unused(self.builder, self.program, self.archive.tensors, needed, self.facts)
        return self.builder

    def _batch(self) -> int:
        """The batch size with which the program was exported; 0 if it is dynamic.

        Raises:
            UnreadableModelError: The inputs differ in their batch size.
        """
        entries = self.program.inputs
        if all(entry.dynamic[entry.batch] for entry in entries):
            return 0
        sizes = {entry.shape[entry.batch] for entry in entries if not entry.dynamic[entry.batch]}
        if len(sizes) > 1 or any(entry.dynamic[entry.batch] for entry in entries):
            names = ", ".join(quoted(entry.name) for entry in entries)
            raise UnreadableModelError(
                f"The inputs {names} differ in the length of their first axis, which must be the batch axis; export "
                "the program with a batch axis in front of every input."
            )
        return sizes.pop()

    def _input(self, entry: InputInfo) -> None:
        shape = []
        for axis, (size, is_open) in enumerate(zip(entry.shape, entry.dynamic, strict=True)):
            if axis == entry.batch:
                continue
            length = size or STEPS
            if is_open:
                self.builder.remark(
                    f"Axis {axis} of the input {quoted(entry.name)} has a dynamic length in the program; it is set "
                    f"to {length} here."
                )
            shape.append(length)
        if self.batch > 1:
            self.builder.remark(
                f"The program has a batch size of {self.batch}; after the import, the batch size is free."
            )
        params = input_parameters(TensorSpec((None, *shape), "int" if entry.is_integer else "float"))
        if reads_tokens(params):
            params |= self._vocabulary(entry.name)
        title = "input" if len(self.program.inputs) == 1 else entry.name
        tensor = add_input(self.builder, title, params, len(entry.shape), entry.batch, quoted(entry.name), "program")
        self.values[entry.name] = tensor
        self.owners[tensor.ref] = ()

    def _vocabulary(self, name: str) -> dict[str, int]:
        """The size of the vocabulary of an input, from the smallest embedding that reads it; empty if none does."""
        sizes = []
        for item in self.program.operators:
            table = item.args.get("weight")
            if (
                item.type == "embedding"
                and item.args.get("indices") == Reference(name)
                and isinstance(table, Reference)
            ):
                embedding = self.archive.tensors.get(self.program.weights.get(table.name, ""))
                sizes += [embedding.shape[0]] if embedding is not None and embedding.ndim == 2 else []
        # Every token must exist in the smallest table; an Input needs at least two.
        return {"vocabulary": max(2, min(sizes))} if sizes else {}

    def _operator(self, item: Operator) -> None:
        if item.name in self.converted:
            return
        self.converted.add(item.name)
        if item.body is not None:
            self._loop(item, item.body)
            return
        nodes_before = set(self.builder.nodes)
        kind = table_name(item)
        with refusals_of(f"{kind} ({location(item)})", "match PyTorch's signature"):
            args = {name: self._resolve(value, item) for name, value in item.args.items()}
            results = self._convert(item, kind, args)
        for name, value in zip(item.outputs, results, strict=False):
            if isinstance(name, str):
                self.values[name] = value
            else:
                self.values |= zip(name, value, strict=False)
        if writes(item) and item.reads():
            # Later operators read the modified tensor under its original name.
            self.values[item.reads()[0]] = results[0]
        for key in self.builder.nodes:
            if key not in nodes_before:
                self.owners.setdefault(key, item.stack)

    def _loop(self, item: Operator, body: Body) -> None:
        """Convert a loop as a network that is applied to each step.

        Raises:
            UnreadableModelError: It cannot be one; the caller reads the program again and unrolls it.
        """
        outer, owners, learned = self.builder, self.owners, self.learned
        loop = LoopBody(outer, batch=self.batch)
        self.builder, self.owners = loop.step, {}
        self.learned = LearnedConstants(loop.step, lambda: parts[0])
        parts: list[Tensor] = []
        try:
            states, sequences, others = (self._arguments(item, name) for name in ("states", "sequences", "others"))
            parts += [loop.sequence(value, 0) for value in sequences]
            values = [
                *map(loop.state, states),
                *parts,
                *(loop.constant(value) if isinstance(value, Tensor) else value for value in others),
            ]
            self.values |= dict(zip(body.inputs, values, strict=True))
            for inner in body.operators:
                self._operator(inner)
            outputs = [self.values[name] for name in body.outputs]
            following, results = outputs[: len(states)], outputs[len(states) :]
            name = f"{item.stack[-1].path}.scan" if item.stack else "scan"
            loop_outputs = loop.finish(following, results, [0] * len(results), name)
        except (UnsupportedOperatorError, *MALFORMED_ERRORS) as error:
            raise UnreadableModelError(f"The loop ({location(item)}) cannot be imported: {error}.") from None
        finally:
            self.builder, self.owners, self.learned = outer, owners, learned
        self.values |= dict(zip(item.names(), loop_outputs, strict=True))
        for key in self.builder.nodes:
            self.owners.setdefault(key, item.stack)

    def _arguments(self, item: Operator, name: str) -> list[Value]:
        """The values of a list of arguments of a loop.

        Raises:
            UnsupportedOperatorError: A value has layers or a frozen state that the network of a step would lose.
        """
        values: list[Value] = []
        for reference in item.args[name]:
            value = with_whole_states(self._resolve(reference, item))
            is_fixed = reference.name in self.program.buffers | self.program.frozen
            if not isinstance(value, Tensor | Constant) or is_fixed:
                raise UnsupportedOperatorError("a step reads a value that is frozen or not a tensor")
            if isinstance(value, Constant) and value.learned_values is not None:
                raise UnsupportedOperatorError("a step reads a value that the program computes from parameters")
            values.append(value)
        return values

    def _multihead(self, item: Operator, needed: set[str]) -> bool:
        """Convert a whole nn.MultiheadAttention at its first operator. Returns whether that was possible."""
        module = multihead.multihead_module(item)
        if module is None or module.call in self.tried_modules or is_shape_arithmetic(item):
            return False
        self.tried_modules.add(module.call)
        items = [
            operator
            for operator in self.program.operators
            if module in operator.stack and operator.name in needed and not is_shape_arithmetic(operator)
        ]
        nodes_before = set(self.builder.nodes)
        dropout = self.facts.modules.get(module.path, 0.0) if self.facts else 0.0
        module_attention = multihead.Multihead(
            module, items, self.program, self.values, self.archive.tensors, self._operator, needed, dropout
        )
        try:
            is_converted = module_attention.add_layer(self.builder)
        except (UnsupportedOperatorError, *MALFORMED_ERRORS):
            is_converted = False
        stack = item.stack[: item.stack.index(module) + 1]
        # Also after a failed attempt, because its unused nodes may remain until pruning
        self.owners |= {key: stack for key in self.builder.nodes if key not in nodes_before}
        if is_converted:
            self.converted |= {operator.name for operator in items}
        return is_converted

    def _convert(self, item: Operator, kind: str, args: dict[str, Any]) -> Any:
        if kind in CHECKS:
            return []
        function = arithmetic(item.target)
        if function is not None:
            return [function(*args.values())]
        if kind in LENGTHS:
            value = with_whole_states(args["self"])
            shape = value.shape if isinstance(value, Tensor | Constant) else ()
            return [shape[args["dim"]] if kind == "sym_size" else math.prod(shape)]
        if not any(
            isinstance(part, Tensor | States | Spectrum) for value in args.values() for part in _flattened(value)
        ):
            if writes(item):
                return [self._written(item, kind, args)]
            return self.learned.results(kind, node_name(item), args, fold_constant(kind, args))
        if kind not in OPERATORS:
            raise UnsupportedOperatorError("no layer corresponds to it if its inputs are computed")
        if item.name in self.dropouts:
            args["dropout_p"] = self.dropouts[item.name]
        readers = frozenset(kind for name in item.names() for kind in self._readers.get(name, ()))
        if kind not in READ_STATES:
            args = {name: with_whole_states(value) for name, value in args.items()}
        op = AtenCall(kind, node_name(item), args, self.builder, self.batch, self._used_outputs(item), readers)
        return convert(op)

    def _written(self, item: Operator, kind: str, args: dict[str, Any]) -> Constant:
        """The result of an operator such as relu_ on constants, which changes all values in the same memory."""
        target = next(iter(args.values()))
        result: Constant = write_constant(item.type, args, self.archive.tensors.values())[0]
        self.learned.check_unread(result)
        for name, value in self.values.items():
            is_trained = isinstance(value, Constant) and (value.weight or value.learned is not None)
            if is_trained and np.may_share_memory(value.array, result.array):
                self.values[name] = Constant(value.array)
        if not isinstance(target, Constant) or target.learned_values is None:
            return result
        return self.learned.trained(kind, node_name(item), args, result)

    @cached_property
    def _readers(self) -> dict[str, set[str]]:
        """The types of the operators that read each value; an output of the program is read by "output"."""
        readers: dict[str, set[str]] = {name: {"output"} for name in self.program.outputs}
        for item in with_inner(self.program.operators):
            for name in item.reads():
                readers.setdefault(name, set()).add(item.type)
            for name in item.body.outputs if item.body is not None else ():
                readers.setdefault(name, set()).add("output")
        return readers

    def _used_outputs(self, item: Operator) -> tuple[bool, ...]:
        read = self._readers.keys()
        return tuple(name in read if isinstance(name, str) else bool(read & set(name)) for name in item.outputs)

    def _resolve(self, value: Any, item: Operator) -> Any:
        """An argument with its references replaced by their values."""
        if isinstance(value, list):
            return [self._resolve(part, item) for part in value]
        if isinstance(value, dict):
            raise UnsupportedOperatorError("it has an argument of a kind that cannot be read")
        if not isinstance(value, Reference):
            return value
        if value.name in self.values:
            return self.values[value.name]
        weight_name = self.program.weights.get(value.name)
        if weight_name is None:
            raise UnsupportedOperatorError(f"it reads {quoted(value.name)}, which no earlier operator computes")
        if weight_name in self.archive.refused:
            raise UnsupportedOperatorError(
                f"its weights {quoted(weight_name)} are a pickled object, which is never loaded"
            )
        if weight_name not in self.archive.tensors:
            raise UnsupportedOperatorError(f"its weights {quoted(weight_name)} are not in the file")
        array = self.archive.tensors[weight_name]
        # Without a name, because buffers are not trainable
        if value.name in self.program.buffers:
            return Constant(array)
        name = weight_name_of(weight_name, item)
        self.builder.weight_tables.setdefault(name, array)
        constant = Constant(array, name)
        # Layers write single numbers as literals, unless they are marked.
        return self.learned.mark(constant) if array.size == 1 else constant

    def _first_input(self) -> Tensor:
        tensor = self.values[self.program.inputs[0].name]
        if not isinstance(tensor, Tensor):
            raise UnsupportedOperatorError("the network has no input")
        return tensor

    def _output(self, name: str, number: int) -> None:
        value = with_whole_states(self.values.get(name))
        if not isinstance(value, Tensor):
            self.builder.remark("the output does not depend on the input, so it was left out.", quoted(name))
            return
        output_name = "output" if number == 0 else f"output {number + 1}"
        key = add_output(self.builder, value, output_name, quoted(name), "program")
        for new in self.builder.nodes:
            self.owners.setdefault(new, ())
        self.owners[key] = ()

    def _move_to_owner(self, ref: str, root: str) -> None:
        """Assign the nodes that convert a shared mask to the module of the mask instead of its first reader."""
        while ref != root:
            key = ref.partition(".")[0]
            self.owners[key] = self.owners[root.partition(".")[0]]
            ref = self.builder.sources[key]["in"]


def _flattened(value: Any) -> list[Any]:
    return [part for item in value for part in _flattened(item)] if isinstance(value, list) else [value]
