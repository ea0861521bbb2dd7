"""The network as a torch.export program: its operations and weights, without Python source."""

from __future__ import annotations

import io
import zipfile

from netloom.export.archive import as_json, preprocess
from netloom.export.format import Batch, Format, Trained
from netloom.export.tracing import quiet, record
from netloom.export.verification import run
from netloom.export.zip_files import CARD, appended

PREPROCESS = "preprocess.json"


class Pt2(Format):
    """`torch.export.load` reads it, for batches of any size. https://docs.pytorch.org/docs/stable/export.html

    The preprocessing is its extra file preprocess.json, and the model card its extra file MODEL_CARD.md.
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
            extra = {PREPROCESS: as_json(preprocess(trained)).decode()}
            torch.export.save(record(trained), buffer, extra_files=extra)
        return buffer.getvalue()

    def with_card(self, content: bytes, card: str) -> bytes:
        # Beside the other extra file of the archive, https://docs.pytorch.org/docs/stable/export/pt2_archive.html. The
        # network is not written again, because its outputs were compared with those of the app.
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            known = next(name for name in archive.namelist() if name.endswith(f"/{PREPROCESS}"))
        return appended(content, f"{known.removesuffix(PREPROCESS)}{CARD}", card.encode())

    def answers(self, content: bytes, batches: list[Batch]) -> list[Batch]:
        import torch

        with quiet():
            return run(torch.export.load(io.BytesIO(content)).module(), batches)
