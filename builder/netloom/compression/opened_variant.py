"""A variant of a run in place of the run: its network predicts and is explained."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netloom.compression.method import METHOD, CompressionError, registry
from netloom.core.errors import UsageError
from netloom.core.plain_json import JsonObject
from netloom.export import ExportError
from netloom.export.archive import as_json, preprocess
from netloom.export.onnx_network import OnnxNetwork
from netloom.export.verification import cause, distance, largest_difference, run, sample
from netloom.validation.output_scales import scales

if TYPE_CHECKING:
    from netloom.runs import TrainedRun

# The largest difference between the outputs of a file and of the same network in PyTorch, relative to the largest one
MAX_DIFFERENCE = 1e-4
COMPARED_ROWS = 64
NOT_CALIBRATED = (
    "The calibration of the run is not applied, because it was measured on the outputs of the run, and those of the "
    "file differ."
)
OTHER_CALIBRATION = "The calibration of the run has changed since the file was written; the present one is used."
REMOVED_CALIBRATION = "The calibration in the file is not used, because it was removed from the run."
# The largest difference between the outputs of a row in a batch and by itself, as in the model server
MAX_BATCH_DIFFERENCE = 1e-5


def open_variant(trained: TrainedRun, file: Path) -> TrainedRun:
    """Return the run with the network of an ONNX file, which ONNX Runtime computes as the model server does.

    Raises:
        UsageError: the file cannot be read, belongs to another run, or has other outputs.
    """
    return open_variant_with_note(trained, file)[0]


def open_variant_with_note(trained: TrainedRun, file: Path) -> tuple[TrainedRun, str]:
    """Return the result of `open_variant`, and that of `calibration_note`.

    Raises:
        UsageError: as `open_variant`.
    """
    content = read_file(file)
    network = network_of(trained, content, file.name)
    difference = output_difference(trained, network)
    variant = _with_external_network(with_valid_calibration(trained, difference), network, content, file)
    return variant, calibration_note(trained, network, difference)


def open_explainable_variant(trained: TrainedRun, file: Path) -> TrainedRun:
    """Return the run with the network of an ONNX file, in PyTorch if it can be rebuilt with the same outputs, so that
    methods can follow gradients and read inner layers; otherwise as `open_variant`.

    Raises:
        UsageError: as `open_variant`.
    """
    content = read_file(file)
    network = network_of(trained, content, file.name)
    trained = with_valid_calibration(trained, output_difference(trained, network))
    method = registry().get(network.metadata.get(METHOD, ""))
    try:
        rebuilt = method.in_pytorch(trained, content) if method is not None else None
    except (CompressionError, ExportError):  # the file was written with other settings of the method
        rebuilt = None
    if rebuilt is not None and output_difference(rebuilt, network) <= MAX_DIFFERENCE:  # false if it is NaN
        return replace(rebuilt, variant=file.name)
    return _with_external_network(trained, network, content, file)


def with_valid_calibration(trained: TrainedRun, difference: float) -> TrainedRun:
    """Return a run without its calibration if the outputs of the network that replaces its own differ from them by more
    than rounding, as `output_difference`: intervals, prediction sets and thresholds were measured on the outputs of the
    run."""
    return trained if difference <= MAX_DIFFERENCE else replace(trained, applied=None)


def calibration_note(trained: TrainedRun, network: OnnxNetwork, difference: float) -> str:
    """Return in a sentence that the calibration of the run is not applied to the network of an ONNX file, with this
    `output_difference`, or that it is not the one in the file; "" if there is nothing to say."""
    if with_valid_calibration(trained, difference).applied is not trained.applied:
        return NOT_CALIBRATED
    if _calibrations(_metadata(network)) == _calibrations(_expected(trained)):
        return ""
    return REMOVED_CALIBRATION if trained.applied is None else OTHER_CALIBRATION


def _calibrations(preprocessing: JsonObject) -> list[Any]:
    """Return the calibration of each part of the predictions."""
    decoding: Any = preprocessing.get("target", {})
    return [part.get("calibration") for part in (decoding, *decoding.get("parts", ()))]


def _metadata(network: OnnxNetwork) -> JsonObject:
    """Return the preprocessing in an ONNX file; empty if it is not one of Netloom."""
    try:
        written = json.loads(network.metadata.get("preprocess", "{}"))
    except ValueError:
        return {}
    return written if isinstance(written, dict) else {}


def _expected(trained: TrainedRun) -> JsonObject:
    expected: JsonObject = json.loads(as_json(preprocess(trained)))
    return expected


def _with_external_network(trained: TrainedRun, network: OnnxNetwork, content: bytes, file: Path) -> TrainedRun:
    from netloom.runs.prediction.external_network import (
        ExternalNetwork,  # imports PyTorch, unlike the rest of this module
    )

    batch = sample(trained, COMPARED_ROWS)
    alone = ExternalNetwork(network.outputs, content, is_row_by_row=True)
    # Activations that are quantized with the range of a batch give a row other outputs in each batch
    pairs = zip(*(run(model, [batch])[0] for model in (alone, ExternalNetwork(network.outputs, content))), strict=True)
    is_independent = all(distance(joint, single) <= MAX_BATCH_DIFFERENCE for single, joint in pairs)
    model = ExternalNetwork(network.outputs, content, is_row_by_row=not is_independent)
    return replace(trained, model=model, variant=file.name)


def read_file(file: Path) -> bytes:
    """Return the content of a file.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"The file {str(file)[:200]!r} cannot be read: {error.strerror}.") from None


def network_of(trained: TrainedRun, content: bytes, name: str, threads: int = 0) -> OnnxNetwork:
    """Return the network of an ONNX file that reads the rows of a run; `name` is the name of the file.

    Raises:
        UsageError: the file is not an ONNX file, or not one of this run.
    """
    network = loaded(content, threads)
    written, expected = _metadata(network), _expected(trained)
    if any(written.get(key) != expected[key] for key in ("fields", "arguments")):
        raise UsageError(
            f"The file {name[:100]!r} does not read the rows of this run; take one that netloom optimize or "
            "netloom export --format onnx has written for it."
        )
    if trained.applied is not None and any(scales(trained.project, trained.data.schema)):
        raise UsageError(
            "An ONNX file of a network that ends in probabilities cannot be used with a calibration, which needs "
            "logits; use the run itself, or remove its calibration."
        )
    if not math.isfinite(output_difference(trained, network)):
        raise UsageError(f"The outputs of the file {name[:100]!r} have other shapes than those of this run.")
    return network


def output_difference(trained: TrainedRun, network: OnnxNetwork) -> float:
    """Return the largest difference between the outputs of a run and of an ONNX file for held-out rows, as
    `export.verification.largest_difference`.

    Raises:
        UsageError: ONNX Runtime cannot run the file.
    """
    try:
        return largest_difference(trained, lambda batches: [network.outputs(batch) for batch in batches], COMPARED_ROWS)
    except Exception as error:  # ONNX Runtime has errors of its own without a common base class
        raise UsageError(f"ONNX Runtime cannot run this network: {cause(error)}.") from error


def loaded(content: bytes, threads: int = 0) -> OnnxNetwork:
    """Return the network of an ONNX file.

    Raises:
        UsageError: ONNX Runtime is not installed, or cannot load the file.
    """
    try:
        return OnnxNetwork(content, threads)
    except ImportError:
        raise UsageError("An ONNX file needs ONNX Runtime; install it with pip install onnxruntime.") from None
    except Exception as error:  # ONNX Runtime has errors of its own without a common base class
        raise UsageError(f"ONNX Runtime cannot load this network: {cause(error)}.") from error
