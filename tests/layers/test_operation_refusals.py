"""Refusals of tensor operations, including Einsum equations that would mix the examples of a batch."""

from __future__ import annotations

import re
from typing import Any

import pytest

from netloom.document import Node
from netloom.layers import ParameterError, TensorSpec, parse


def refusal(name: str, params: dict[str, Any], *specs: TensorSpec) -> str:
    """The layer's error message for these shapes."""
    layer = parse(Node(id="layer_1", type=name, params=params))
    ports = [port.name for port in layer.inputs()]
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        layer.build(dict(zip(ports, specs, strict=True)))
    return str(caught.value)


def floats(*shape: int) -> TensorSpec:
    return TensorSpec((None, *shape))


def ints(*shape: int) -> TensorSpec:
    return TensorSpec((None, *shape), "int")


@pytest.mark.parametrize(
    ("name", "params", "specs", "expected_message"),
    [
        ("Subtract", {}, [floats(3), floats(4)], r"\(N, 3\) and \(N, 4\) cannot be broadcast together"),
        ("Subtract", {}, [floats(3), floats(3, 1)], "cannot be broadcast together"),
        ("Add", {}, [floats(3), floats(4)], "give the inputs the same shape"),
        ("Stack", {}, [floats(3), floats(1)], "must have the same shape"),
        ("Stack", {"axis": 3}, [floats(3), floats(3)], "choose 1 to 2"),
        ("Blend", {}, [floats(3), floats(3), floats(2)], "cannot be broadcast together"),
        ("MatMul", {}, [floats(3), floats(3)], "To multiply vectors, use Dot product"),
        ("MatMul", {}, [floats(3, 4), floats(3, 5)], "a has 4 columns and b has 3 rows"),
        ("MatMul", {"transpose_b": True}, [floats(3, 4), floats(4, 5)], "a has 4 columns and b has 5 rows"),
        ("MatMul", {}, [floats(2, 3, 4), floats(4, 5)], "number of axes"),
        ("MatMul", {}, [floats(2, 3, 4), floats(3, 4, 5)], "cannot be broadcast together"),
        ("MatMul", {}, [floats(2, 3, 4), floats(4)], "a vector needs a matrix"),
        ("MatMul", {}, [ints(2, 2), floats(2, 2)], "put a Cast to float before it"),
        ("Einsum", {"equation": "nij->nj"}, [floats(3)], "nij names 3 axes, but input in is"),
        (
            "Einsum",
            {"equation": "ni,ni->n"},
            [floats(3), floats(4)],
            "the letter i has the lengths 3 and 4",
        ),
        ("Einsum", {"equation": "nii->n"}, [floats(3, 4)], "equal letters need equal lengths"),
        ("OuterProduct", {}, [floats(2, 3), floats(3, 3)], "equal in all axes except the last"),
        ("Dot", {}, [floats(3), floats(4)], "cannot be broadcast together"),
        ("Dot", {"axis": 2}, [floats(3), floats(3)], "axis=2 is not an axis of"),
        ("DistanceMatrix", {}, [floats(4, 3), floats(4, 2)], "equal in the last axis"),
        ("Normalize", {"axis": -2}, [floats(3)], "axis=-2 is not an axis of .* choose 1, its only axis"),
        ("Normalize", {}, [ints(3)], "put a Cast to float before it"),
        ("CumSum", {}, [floats()], "has no axis after N"),
        ("Difference", {}, [floats(1, 3)], "a difference needs at least 2 steps"),
        ("Sum", {"axes": [1, -1]}, [floats(3)], "name each axis once"),
        ("Sum", {"axes": [1, 2]}, [floats(3)], "an axis=2 is not an axis of"),
        ("Std", {"unbiased": True}, [floats(1)], "needs at least two values"),
        ("Norm", {}, [ints(3)], "put a Cast to float before it"),
        ("MaskedMean", {}, [floats(4, 3), ints(3)], r"must be \(N, 4\), received \(N, 3\)"),
        ("TopK", {"k": 4}, [floats(3)], "lower k"),
        ("Transpose", {"axis": 2, "other": -1}, [floats(3, 4)], "are the same axis of"),
        ("FlattenAxes", {"first": 2, "last": 1}, [floats(3, 4)], "is not before axis 1"),
        ("SlidingWindow", {"size": 9}, [floats(8, 2)], "size=9 is more than the length 8 of axis 1"),
        ("ReplaceMissing", {}, [ints(4)], "put a Cast to float before it"),
        ("Squeeze", {}, [floats(3, 4)], "use Select to keep one index"),
        ("Expand", {}, [floats(3, 4)], "or use Repeat"),
        ("Pad", {"value": 0.5}, [ints(4)], "is not an integer"),
        ("Split", {"sizes": [2, 3]}, [floats(6)], "sizes=2, 3 do not sum to the length 6 of axis 1"),
        ("Split", {"sizes": [6, -1]}, [floats(6)], "do not sum"),
        ("Chunk", {"count": 4}, [floats(6)], "cannot be split into 4 equal parts"),
        (
            "Slice",
            {"start": 3, "end": 2},
            [floats(6)],
            "the slice from 3 to 2 of axis 1, which has the length 6, is empty",
        ),
        ("Slice", {"start": 6}, [floats(6)], "the slice from 6 to 6"),
        ("Select", {"index": 6}, [floats(6)], "index 6 is out of range for axis 1"),
        ("Select", {"index": -7}, [floats(6)], "choose 0 to 5, or -1 for the last"),
        ("IndexSelect", {"indices": [0, 6]}, [floats(6)], "index 6 is out of range"),
        ("Gather", {}, [floats(4, 3), floats(2)], "put a Cast to int before them"),
        ("GatherElements", {}, [floats(1, 2), ints(1)], "must be equal in all axes except axis 2"),
        ("GatherElements", {}, [floats(4, 3), ints(5, 1)], "to gather whole slices, use Gather"),
        ("Where", {}, [ints(3), floats(3), ints(3)], "put a Cast before one of them"),
        ("Where", {}, [ints(4), floats(3), floats(3)], "cannot be broadcast together"),
        ("Compare", {}, [floats(4), floats(3)], "cannot be broadcast together"),
        ("MaskFill", {}, [floats(4, 3), ints(3)], r"the mask \(N, 3\) does not fit \(N, 4, 3\)"),
        ("MaskFill", {}, [floats(4), ints(4, 1)], "does not fit"),
        ("MaskFill", {"value": 0.5}, [ints(4), ints(4)], "is not an integer"),
        ("OneHot", {}, [floats(4)], "put a Cast to int before it"),
    ],
)
def test_incompatible_shapes_are_refused_with_a_reason(
    name: str, params: dict[str, Any], specs: list[TensorSpec], expected_message: str
) -> None:
    message = refusal(name, params, *specs)
    assert message == message.strip().rstrip(".")
    assert "\n" not in message
    assert re.search(expected_message, message), message


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("CumSum", {"axis": 0}, "axis 0 is the batch axis, which cannot"),
        ("Sum", {"axes": [0]}, "axis 0 is the batch axis, which cannot"),
        ("Sum", {"axes": []}, "axes must not be empty"),
        ("Clamp", {"low": None, "high": None}, "needs a lower or an upper limit"),
        ("Clamp", {"low": 2.0, "high": 1.0}, "low must be at most high=1, received 2"),
        ("Split", {"sizes": [-1, -1]}, "except for one -1"),
        ("Split", {"sizes": [0, 1]}, "positive numbers"),
        ("Split", {"sizes": [3]}, "at least 2"),
        ("Constant", {"values": "1, x"}, "values must be numbers up to 1e30"),
        ("Constant", {"values": "1e31"}, "values must be numbers up to 1e30"),
        ("Constant", {"values": "nan"}, "values must be numbers up to 1e30"),
        ("Constant", {"values": "1, 2", "shape": [3]}, "values must have one number, or 3 for this shape, received 2"),
        ("Function", {"function": "relu"}, "function"),
        ("Compare", {"relation": "is"}, "relation"),
    ],
)
def test_invalid_parameters_are_refused(name: str, params: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        parse(Node(id="layer_1", type=name, params=params))


@pytest.mark.parametrize(
    "equation",
    [
        *("", "nij", "->", "nij->", "->nij", "nij,->ni", "nij->ni->n", "...i->...", "n...->n", "nij,njk", "nij=>ni"),
        *("n1->n", "nij->ni;", "nij\n->ni", "nij->ni\n", "nij->ni'); import os", "níj->ní", "nij->n\u202ei", "n" * 60),
        *("ni,nj,nk,nl,nm->n", "ni,nj,,->n", "nij->ji", "ij->i,n", "nij->nii", "nij->nk"),
        *("ni,jn->nij", "ni,ij->nj", "nni->ni", "nin->ni", "ni->nin", "ij,ij->"),
        "ni,mi->ni",  # this would sum over the examples of the second tensor
    ],
)
def test_einsum_equations_that_mix_the_batch_are_refused(equation: str) -> None:
    with pytest.raises(ParameterError, match="equation"):
        parse(Node(id="layer_1", type="Einsum", params={"equation": equation}))


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_einsum_has_one_port_per_operand(count: int) -> None:
    equation = ",".join(["ni"] * count) + "->n"
    layer = parse(Node(id="layer_1", type="Einsum", params={"equation": equation}))
    assert [port.name for port in layer.inputs()] == (["in"] if count == 1 else list("abcd"[:count]))


def test_split_and_chunk_have_one_port_per_part() -> None:
    cases: list[tuple[str, dict[str, Any]]] = [("Split", {"sizes": [1, 2, -1]}), ("Chunk", {"count": 3})]
    for name, params in cases:
        layer = parse(Node(id="layer_1", type=name, params=params))
        assert [port.name for port in layer.outputs()] == ["a", "b", "c"]
