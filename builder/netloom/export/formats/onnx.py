"""The network as ONNX, which many runtimes and languages read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netloom.export.archive import as_json, preprocess
from netloom.export.format import Batch, ExportError, Format, Trained
from netloom.export.onnx_decompositions import decompose
from netloom.export.onnx_network import OnnxNetwork
from netloom.export.scanned_loops import with_scans
from netloom.export.tracing import names, quiet, record
from netloom.export.verification import cause

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram

# The largest message of protobuf, and therefore the largest single ONNX file
LIMIT = 2**31 - 1
# The key of the metadata of a file that has to compute each row by itself, because it would change with those beside it
ROW_BY_ROW = "row_by_row"


class Onnx(Format):
    """A graph of ONNX operators for batches of any size. https://docs.pytorch.org/docs/stable/onnx.html

    The preprocessing is in the metadata of the model as JSON, under `preprocess`, and the model card as Markdown, under
    `model_card`.
    """

    name = "onnx"
    title = "ONNX"
    summary = "One file for ONNX Runtime and other engines in C++, C#, Java, JavaScript or Rust; takes encoded rows"
    suffix = ".onnx"
    media_type = "application/octet-stream"
    tolerance = 1e-4
    contains_onnx = True

    def content(self, trained: Trained) -> bytes:
        import torch

        from netloom.runs.prediction.external_network import ExternalNetwork

        if isinstance(trained.model, ExternalNetwork):
            file = _with_metadata(trained.model.file, "preprocess", as_json(preprocess(trained)).decode())
            return _with_metadata(file, ROW_BY_ROW, "true") if trained.model.is_row_by_row else file
        size = sum(value.nbytes for value in trained.model.state_dict().values())
        if size > LIMIT:
            raise ExportError(
                "An ONNX file can have at most 2 GiB, but the weights are larger; export the Python bundle instead."
            )
        ins, outs = names(trained.project)
        with quiet(), torch.no_grad():  # with gradients, PyTorch computes attention differently
            # If torch.onnx recorded the network, an LSTM would become a slow loop over its steps, not ONNX's LSTM.
            exported = _with_scans(trained, ins, outs) or _converted(record(trained), ins, outs)
            return _clean(exported, as_json(preprocess(trained)).decode())

    def with_card(self, content: bytes, card: str) -> bytes:
        return _with_metadata(content, "model_card", card)

    def answers(self, content: bytes, batches: list[Batch]) -> list[Batch]:
        network = OnnxNetwork(content)
        return [network.outputs(batch) for batch in batches]


def _with_scans(trained: Trained, ins: list[str], outs: list[str]) -> torch.onnx.ONNXProgram | None:
    """The network with a Scan operator for each loop; None if it has no loop, or one that PyTorch cannot write so."""
    model = with_scans(trained)
    if model is None:
        return None
    try:
        return _converted(record(trained, model, any_length=True), ins, outs)
    except ExportError:  # the loop is written step by step instead
        return None


def _converted(program: ExportedProgram, ins: list[str], outs: list[str]) -> torch.onnx.ONNXProgram:
    """The program as ONNX.

    Raises:
        ExportError: PyTorch cannot write it.
    """
    import torch

    try:
        exported = torch.onnx.export(
            decompose(program), dynamo=True, verbose=False, input_names=ins, output_names=outs,
            dynamic_shapes=tuple({0: "batch"} for _ in ins),
        )  # fmt: skip
    except Exception as error:  # the exporter raises whatever its parts raise
        raise ExportError(f"PyTorch cannot write this network as ONNX: {cause(error)}.") from error
    if exported is None:
        raise ExportError("PyTorch returned no ONNX program for this network.")
    return exported


def _clean(program: torch.onnx.ONNXProgram, preprocess: str) -> bytes:
    """Serialize a program with unique names and the preprocessing, and without paths of this machine."""
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass, InlinePass, NameFixPass

    model = program.model
    if model.functions:  # the steps of loops; other programs than ONNX Runtime may not know functions
        InlinePass()(model)
    NameFixPass()(model)  # a field may have the name of an internal value; inputs and outputs keep theirs
    ClearMetadataAndDocStringPass()(model)
    model.metadata_props["preprocess"] = preprocess
    content: bytes = program.model_proto.SerializeToString(deterministic=True)
    return content


def _with_metadata(content: bytes, key: str, value: str) -> bytes:
    """Return an ONNX file with an entry of its metadata added or replaced."""
    import onnx

    model = onnx.load_model_from_string(content)
    others = [entry for entry in model.metadata_props if entry.key != key]
    del model.metadata_props[:]
    model.metadata_props.extend(others)
    model.metadata_props.add(key=key, value=value)
    changed: bytes = model.SerializeToString(deterministic=True)
    return changed
