"""Real virtual environments that have a few packages, what these need themselves, and nothing else."""

from __future__ import annotations

import os
import subprocess
import venv
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

ALLOWED = ("torch", "safetensors", "numpy")


def build(folder: Path, names: tuple[str, ...] = ALLOWED) -> Path:
    """Make the environment and return its interpreter. Packages are linked, not copied: torch alone takes gigabytes."""
    venv.EnvBuilder(symlinks=os.name != "nt", with_pip=False).create(folder)
    python = folder / "bin" / "python"
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip())
    for found in closure(names):
        for top in sorted({path.parts[0] for path in found.files or ()} - {"..", "__pycache__"}):
            link, place = site / top, Path(str(found.locate_file(top)))
            if place.exists() and not link.exists():
                link.symlink_to(place)
    return python


def closure(names: tuple[str, ...]) -> list[Distribution]:
    """These distributions and all that they require."""
    found: dict[str, Distribution] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in found:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue
        for text in found[name].requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    return list(found.values())


def run(python: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the environment in a folder, without anything of this process's environment."""
    environment = {"OMP_NUM_THREADS": "1", "PATH": os.environ.get("PATH", "")}
    return subprocess.run(
        [str(python), "-W", "error", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=120, check=False,
    )  # fmt: skip
