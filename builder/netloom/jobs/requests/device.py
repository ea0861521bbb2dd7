"""The job that looks for a GPU, which takes PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

from netloom.jobs.request import Context, Request
from netloom.training.speed.device import has_gpu


@dataclass(frozen=True)
class FindGpu(Request[bool], kind="gpu", lane="layers"):
    """Whether PyTorch finds a GPU on this machine."""

    def compute(self, context: Context) -> bool:
        return has_gpu()
