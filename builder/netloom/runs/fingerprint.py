"""The environment of a run, which must be equal for equal results: stored with each run."""

from __future__ import annotations

import hashlib
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from netloom.core.plain_json import JsonObject
from netloom.document import Project, dumps
from netloom.store import RunArtifacts

PACKAGES = ("netloom", "torch", "numpy", "safetensors", "scikit-learn", "pandas", "networkx", "streamlit", "captum")


def environment(project: Project, text: str) -> JsonObject:
    """Return the environment of a run that is known before it has a worker; `text` is its generated source."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{name: package_version for name in PACKAGES if (package_version := _version(name))},
        "seed": project.training.seed,
        "document": digest(dumps(project)),
        "code": digest(text),
    }


def machine(threads: int, fingerprint: str) -> JsonObject:
    """Return the environment that only the worker knows: its hardware and its data."""
    return {"threads": threads, "processor": processor(), "cores": os.cpu_count(), "data": fingerprint}


def note_machine(artifacts: RunArtifacts, fingerprint: str) -> None:
    """Add the environment that only the worker knows to that of the run."""
    import torch

    artifacts.save_environment({**artifacts.environment(), **machine(torch.get_num_threads(), fingerprint)})


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def processor() -> str:
    """Return the name of the processor; processor models round differently."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
