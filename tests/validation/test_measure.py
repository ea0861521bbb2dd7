"""Sequential layers are measured on short sequences, with the same result as on a long one."""

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
    GRU.model_validate({"hidden_size": 4}),  # an output axis as long as the short sequence
    RNN.model_validate({"hidden_size": 3, "nonlinearity": "relu"}),
    ConditionalRandomField(),
]


def sequence(steps: int, width: int = 4) -> tuple[tuple[str, TensorSpec], ...]:
    return (("in", TensorSpec((None, steps, width))),)


@pytest.mark.parametrize("steps", [13, pytest.param(40, marks=pytest.mark.long)])
@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
def test_extrapolated_measurement_equals_the_full_measurement(
    layer: Layer, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    extrapolated = measure(layer, sequence(steps))
    with monkeypatch.context() as patch:
        patch.setattr(type(layer), "steps_in_turn", False)
        measure.cache_clear()
        full = measure(layer, sequence(steps))
    measure.cache_clear()
    assert extrapolated == full
    assert extrapolated.flops > 0 or isinstance(layer, ConditionalRandomField)


def test_sequence_layers_measure_2000_steps_within_two_seconds() -> None:
    """An edit waits for the validation, so no layer may iterate over the steps of an audio signal."""
    slow = []
    for name, layer_class in registry().items():
        ports = (
            layer_class().inputs()
            if not any(field.is_required() for field in layer_class.model_fields.values())
            else ()
        )
        if len(ports) != 1 or "sequence" not in ports[0].kinds:
            continue
        start = time.process_time()
        measure(layer_class(), ((ports[0].name, TensorSpec((None, 2_000, 16))),))
        if time.process_time() - start > 2:
            slow.append(name)
    assert slow == []


class Window(Layer):
    """A layer whose error message contains the same words as PyTorch's messages about sizes."""

    def build(self, specs: Mapping[str, TensorSpec]) -> Call:
        raise ValueError("the window of 9 exceeds the axis, which is too large for its storage size and would overflow")


def test_layer_error_messages_are_passed_on() -> None:
    assert measure(Window(), sequence(3)).refusal == (
        "the window of 9 exceeds the axis, which is too large for its storage size and would overflow"
    )


@pytest.mark.parametrize("shape", [(10**19,), (10**6, 10**6, 10**6), (2**40, 2**40)])
def test_tensor_beyond_the_address_space_is_refused(shape: tuple[int, ...]) -> None:
    measured = measure(registry()["ReLU"](), (("in", TensorSpec((None, *shape))),))
    assert measured.refusal == "the tensor would be too large; use smaller sizes"
