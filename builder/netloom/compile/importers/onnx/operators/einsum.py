"""Einsum: products and sums over axes that an equation names by letters."""

from __future__ import annotations

import string
from collections import Counter
from dataclasses import replace

from netloom.compile.importers.layer_graph.graph_builder import GraphBuilder
from netloom.compile.importers.layer_graph.values import Constant, Tensor, UnsupportedOperatorError, Value
from netloom.compile.importers.onnx.operators.operator import Call, operator

_PORTS = "abcd"


@operator("Einsum")
def _einsum(call: Call) -> list[Value]:
    """The layer of this name, in whose equation each group begins with the batch axis."""
    values = [value for value in call.inputs if value is not None]
    terms, result = groups(str(call.attribute("equation", "")), [len(value.shape) for value in values])
    if len(values) > len(_PORTS):
        raise UnsupportedOperatorError(f"it has {len(values)} inputs, but a layer has at most {len(_PORTS)}")
    batches = {term[value.batch] for term, value in zip(terms, values, strict=True) if isinstance(value, Tensor)}
    if len(batches) != 1 or not batches <= set(result):
        raise UnsupportedOperatorError("it would mix the examples of a batch")
    (batch,) = batches
    like = next(value for value in values if isinstance(value, Tensor))
    tensors, new_terms = [], []
    for term, value in zip(terms, values, strict=True):
        other_letters = term.replace(batch, "")
        new_terms.append(batch + other_letters)
        if isinstance(value, Constant):
            if batch in term:
                raise UnsupportedOperatorError("it has different constants for each example of the batch")
            tensors.append(_with_batch(call.builder, value, like))
            continue
        position = value.batch
        axes = (value.axes[position], *value.axes[:position], *value.axes[position + 1 :])
        tensors.append(call.builder.to_batch_first(replace(value, axes=axes)))
    new_result = batch + result.replace(batch, "")
    ports = _PORTS if len(tensors) > 1 else ("in",)
    output = call.builder.add_layer(
        *("Einsum", dict(zip(ports, tensors, strict=False)), call.name),
        equation=f"{','.join(new_terms)}->{new_result}",
    )
    return [Tensor(output.ref, output.spec, tuple((new_result.index(letter),) for letter in result))]


def groups(equation: str, ranks: list[int]) -> tuple[list[str], str]:
    """The letters of each input and of the result, with letters for an ellipsis and for a result that is left out.

    Raises:
        UnsupportedOperatorError: The equation does not fit the inputs, which have these numbers of axes.
    """
    equation = equation.replace(" ", "")
    operands, arrow, result = equation.partition("->")
    terms = operands.split(",")
    letters = [letter for term in terms for letter in term.replace("...", "")]
    unused = [letter for letter in string.ascii_letters if letter not in letters]
    hidden = [rank - len(term.replace("...", "")) for term, rank in zip(terms, ranks, strict=False) if "..." in term]
    # The axes of an ellipsis are aligned at their end, as for broadcasting.
    dots = "".join(unused[: max(hidden, default=0)])
    expanded = [
        term.replace("...", dots[len(dots) - (rank - len(term) + 3) :]) if "..." in term else term
        for term, rank in zip(terms, ranks, strict=False)
    ]
    counts = Counter(letters)
    if not arrow:
        result = ("..." if "..." in operands else "") + "".join(sorted(x for x in counts if counts[x] == 1))
    result = result.replace("...", dots)
    if [len(term) for term in expanded] != ranks or not set(result) <= {*letters, *dots} or not result:
        raise UnsupportedOperatorError(f"its equation {equation[:60]} does not fit its inputs")
    return expanded, result


def _with_batch(builder: GraphBuilder, value: Constant, like: Tensor) -> Tensor:
    """A constant as a tensor with a batch axis in front."""
    learned = value.learned_values
    if learned is not None:
        return builder.to_batch_first(learned.build())
    first = Tensor(like.ref, like.spec, ((0,), *((),) * len(value.shape)))
    return builder.to_batch_first(builder.add_constant(Constant(value.array[None], value.weight), first, value.weight))
