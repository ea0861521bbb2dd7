"""Layers that take the steps of a sequence in turn are measured on short ones, as PyTorch measures a long one."""

from __future__ import annotations

import time
from collections.abc import Mapping

import pytest

from netloom.layers import Call, Layer, TensorSpec, registry
from netloom.layers.recurrent.recurrent import GRU, LSTM, RNN
from netloom.layers.tagging import ConditionalRandomField
from netloom.validation.measure import measure

LAYERS: list[Layer] = [
    LSTM.model_validate({"hidden_size": 5, "bidirectional": True}),
    GRU.model_validate({"hidden_size": 7}),
    GRU.model_validate({"hidden_size": 4}),  # where an axis of the output is as long as the short sequence
    RNN.model_validate({"hidden_size": 3, "nonlinearity": "relu"}),
    ConditionalRandomField(),
]


def sequence(steps: int, width: int = 4) -> tuple[tuple[str, TensorSpec], ...]:
    return (("in", TensorSpec((None, steps, width))),)


@pytest.mark.parametrize("steps", [13, 66])
@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
def test_a_long_sequence_is_measured_as_pytorch_does(layer: Layer, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = measure(layer, sequence(steps))
    with monkeypatch.context() as patch:
        patch.setattr(type(layer), "steps_in_turn", False)
        measure.cache_clear()
        thorough = measure(layer, sequence(steps))
    measure.cache_clear()
    assert quick == thorough
    assert quick.flops > 0 or isinstance(layer, ConditionalRandomField)


def test_no_sequence_of_thousands_of_steps_is_waited_for() -> None:
    """An edit waits for the check, so that no layer may go through the steps of a sound one by one."""
    slow = []
    for name, kind in registry().items():
        ports = kind().inputs() if not any(field.is_required() for field in kind.model_fields.values()) else ()
        if len(ports) != 1 or "sequence" not in ports[0].kinds:
            continue
        start = time.process_time()
        measure(kind(), ((ports[0].name, TensorSpec((None, 2_000, 16))),))
        if time.process_time() - start > 2:
            slow.append(name)
    assert slow == []


class Window(Layer):
    """A layer whose own sentence holds words that PyTorch's sentences on sizes hold too."""

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        raise ValueError("the window of 9 exceeds the axis, which is too large for its storage size and would overflow")


def test_the_words_of_a_layer_are_passed_on() -> None:
    assert measure(Window(), sequence(3)).refusal == (
        "the window of 9 exceeds the axis, which is too large for its storage size and would overflow"
    )


@pytest.mark.parametrize("shape", [(10**19,), (10**6, 10**6, 10**6), (2**40, 2**40)])
def test_a_tensor_that_cannot_be_addressed_is_too_large(shape: tuple[int, ...]) -> None:
    measured = measure(registry()["ReLU"](), (("in", TensorSpec((None, *shape))),))
    assert measured.refusal == "the tensor would be too large; use smaller sizes"
