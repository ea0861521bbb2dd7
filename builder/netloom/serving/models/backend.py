"""The backends of the model server: what computes the outputs of a network.

PyTorch gives the bits of the app. ONNX Runtime fuses layers, and is often faster; it is used only if its outputs agree
with those of PyTorch on held-out rows.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

from netloom.compression.opened_variant import (
    calibration_note,
    loaded,
    network_of,
    output_difference,
    read_file,
)
from netloom.core.errors import UsageError
from netloom.core.plain_json import JsonObject
from netloom.export import ExportError
from netloom.export.format import registry as formats
from netloom.export.onnx_network import OnnxNetwork, joined_logits
from netloom.export.verification import sample
from netloom.serving.server_settings import DEFAULT_BACKEND, BatchSettings
from netloom.validation.output_scales import scales

if TYPE_CHECKING:
    import torch

    from netloom.runs.prediction.trained_run import OutputOf, TrainedRun

ONNX_RUNTIME = "onnxruntime"
PYTORCH_PLATFORM, ONNX_PLATFORM = "pytorch_netloom", "onnxruntime_onnx"
# Outputs that differ by more than the rounding of float32 are not those of the app. What a person asks for by name may
# differ by as much as an exported ONNX file.
MAX_DIFFERENCE, MAX_ASKED_DIFFERENCE = 1e-5, 1e-4
# The gain over rows and batches (geometric mean), of which less is within the noise of a measurement, and the loss that
# is accepted of either: gains for single rows must not be paid by a server under load
MIN_SPEEDUP, MIN_SPEEDUP_OF_EACH = 1.1, 0.9
_MEASURE_S, _MIN_REPEATS, _MAX_REPEATS = 0.3, 7, 200


@dataclass(frozen=True)
class Backend:
    """What computes the outputs of a network.

    Attributes:
        name: its name in options, versions and `GET /models`.
        platform: its name in the metadata of the Open Inference Protocol, as Triton spells it for ONNX Runtime.
        output: as `TrainedRun.output`.
        difference: the largest difference of its outputs from those of PyTorch, relative to the largest output.
        note: a sentence on why it was chosen, or empty.
        speedup: how many times as fast as PyTorch it computes a row and a batch; None if it was not measured.
        file: the ONNX file that it runs, or None.
        content_hash: the hash of that file, or empty.
    """

    name: str
    platform: str
    output: OutputOf
    difference: float = 0.0
    note: str = ""
    speedup: Mapping[str, float] | None = None
    file: Path | None = None
    content_hash: str = ""

    def as_json(self) -> JsonObject:
        """Return the backend as plain JSON."""
        speedup = dict(self.speedup) if self.speedup else None
        file = self.file.name if self.file else None
        return {
            "name": self.name, "difference": self.difference, "speedup": speedup, "file": file, "note": self.note,
        }  # fmt: skip


def pytorch(trained: TrainedRun, note: str = "") -> Backend:
    """Return the backend that computes as the app does."""
    return Backend(DEFAULT_BACKEND, PYTORCH_PLATFORM, trained.output, note=note)


def onnx_runtime(trained: TrainedRun, max_difference: float = MAX_ASKED_DIFFERENCE) -> Backend:
    """Return the backend that runs the network in ONNX Runtime, in float32.

    Raises:
        UsageError: the network cannot be written as ONNX, ONNX Runtime is not installed, or the outputs differ.
    """
    import torch

    try:
        # The network with logits, as `TrainedRun.output` computes them: from probabilities, logits are known up to a
        # constant only, on which a calibration can depend
        scored = replace(trained, model=trained.scorer)
        network = loaded(formats()["onnx"].content(scored), torch.get_num_threads())
        difference = output_difference(scored, network)
    except ExportError as error:
        raise UsageError(f"ONNX Runtime cannot serve this run: {error}") from None
    if not difference <= max_difference:  # also if it is NaN
        raise UsageError(
            f"The outputs of ONNX Runtime differ from those of PyTorch by {difference:.1e} of the largest output, but "
            f"at most {max_difference:g} is allowed; serve this run with PyTorch."
        )
    return Backend(ONNX_RUNTIME, ONNX_PLATFORM, _output_of(trained, network, []), difference)


def asked(trained: TrainedRun, batches: BatchSettings) -> Backend:
    """Return the backend of ONNX Runtime, which a person asked for by name.

    Raises:
        UsageError: as `onnx_runtime`, or the answers have to equal those of the app bit for bit.
    """
    if batches.is_exact:
        raise UsageError(
            "Answers that equal those of the app bit for bit (--exact) need the backend pytorch or auto; received "
            "onnxruntime."
        )
    return onnx_runtime(trained)


def from_file(trained: TrainedRun, file: Path) -> Backend:
    """Return the backend that runs an ONNX file, such as a smaller variant of a run, instead of the weights of the run.

    Raises:
        UsageError: the file cannot be read, belongs to another run, or has other outputs.
    """
    import torch

    content = read_file(file)
    network = network_of(trained, content, file.name, torch.get_num_threads())
    how = scales(trained.project, trained.data.schema)
    difference = output_difference(trained, network)
    note = "An ONNX file is served instead of the weights of the run."
    note = f"{note} {calibration_note(trained, network, difference)}".rstrip()
    return Backend(
        ONNX_RUNTIME,
        ONNX_PLATFORM,
        _output_of(trained, network, how),
        difference,
        note,
        file=file,
        content_hash=hashlib.sha256(content).hexdigest(),
    )


def fastest(trained: TrainedRun, batches: BatchSettings) -> Backend:
    """Return the backend that is faster on this machine, measured in turns on held-out rows; PyTorch if the outputs of
    ONNX Runtime differ, or if it cannot run the network."""
    if batches.is_exact:
        return pytorch(trained, "PyTorch, because only its answers equal those of the app bit for bit.")
    try:
        accelerated = onnx_runtime(trained, MAX_DIFFERENCE)
    except UsageError as error:
        return pytorch(trained, f"PyTorch: {error}")
    speedup = _speedup(trained, trained.output, accelerated.output, batches.max_rows)
    gain = math.prod(speedup.values()) ** (1 / len(speedup))
    measured = " and ".join(f"{value:.2g} times as fast for a {name}" for name, value in speedup.items())
    if gain < MIN_SPEEDUP or min(speedup.values()) < MIN_SPEEDUP_OF_EACH:
        return replace(pytorch(trained, f"PyTorch, because ONNX Runtime is {measured}."), speedup=speedup)
    return replace(accelerated, note=f"ONNX Runtime, because it is {measured}.", speedup=speedup)


# By the name of the option
BACKENDS: dict[str, Callable[[TrainedRun, BatchSettings], Backend]] = {
    DEFAULT_BACKEND: lambda trained, batches: pytorch(trained),
    ONNX_RUNTIME: asked,
    "auto": fastest,
}


# By the same name, for a choice on a page
TITLES = {
    DEFAULT_BACKEND: "PyTorch: the results of the app, bit for bit",
    ONNX_RUNTIME: "ONNX Runtime: equal up to rounding",
    "auto": "The faster one, measured at the start",
}


def backend(trained: TrainedRun, name: str, batches: BatchSettings, file: Path | None = None) -> Backend:
    """Return the backend for a run by its name in `BACKENDS`, or the one that runs an ONNX file.

    Raises:
        UsageError: there is no such backend, or it cannot run the network.
    """
    if name not in BACKENDS:
        raise UsageError(f"There is no backend {name[:40]!r}; choose one of {', '.join(BACKENDS)}.")
    return BACKENDS[name](trained, batches) if file is None else from_file(trained, file)


def _output_of(trained: TrainedRun, network: OnnxNetwork, how: Sequence[tuple[str, str] | None]) -> OutputOf:
    fields = trained.fields
    return lambda inputs: joined_logits(network.outputs([inputs[name] for name in fields]), how)


def _speedup(trained: TrainedRun, first: OutputOf, second: OutputOf, max_rows: int) -> dict[str, float]:
    """Return how many times as fast the second one computes a row, and a full batch."""
    speedup = {}
    tensors = sample(trained, max_rows)
    for name, size in {"row": 1, **({"batch": max_rows} if max_rows > 1 else {})}.items():
        rows = [
            {field: values[start : start + size] for field, values in zip(trained.fields, tensors, strict=True)}
            for start in range(0, max_rows, size)
        ]
        before, after = _median_times((first, second), rows)
        speedup[name] = before / after
    return speedup


def _median_times(networks: Sequence[OutputOf], rows: Sequence[Mapping[str, torch.Tensor]]) -> list[float]:
    """Return the median seconds of each network; they take turns, because the speed of a machine drifts."""
    times: list[list[float]] = [[] for _ in networks]
    for network in networks:  # the first call prepares the shape
        network(rows[0])
    begin = perf_counter()
    for repeat in range(_MAX_REPEATS):
        if repeat >= _MIN_REPEATS and perf_counter() - begin > _MEASURE_S:
            break
        for network, series in zip(networks, times, strict=True):
            start = perf_counter()
            network(rows[repeat % len(rows)])
            series.append(perf_counter() - start)
    return [median(series) for series in times]
