"""The network as a torch.export program: its operations and weights, without Python source."""

from __future__ import annotations

import io

from netloom.export.archive import as_json, preprocess
from netloom.export.format import Batch, Format, Trained
from netloom.export.tracing import quiet, record
from netloom.export.verification import run


class Pt2(Format):
    """`torch.export.load` reads it, for batches of any size. https://docs.pytorch.org/docs/stable/export.html

    The preprocessing is its extra file preprocess.json.
    """

    name = "pt2"
    title = "PyTorch program"
    summary = "Operations and weights in one file for torch.export.load, AOTInductor or ExecuTorch; takes encoded rows"
    suffix = ".pt2"
    media_type = "application/octet-stream"
    tolerance = 1e-5

    def content(self, trained: Trained) -> bytes:
        import torch

        buffer = io.BytesIO()
        with quiet():
            extra = {"preprocess.json": as_json(preprocess(trained)).decode()}
            torch.export.save(record(trained), buffer, extra_files=extra)
        return buffer.getvalue()

    def answers(self, content: bytes, batches: list[Batch]) -> list[Batch]:
        import torch

        with quiet():
            return run(torch.export.load(io.BytesIO(content)).module(), batches)
