"""Real virtual environments that contain a few packages and their dependencies, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import venv
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

ALLOWED = ("torch", "safetensors", "numpy")
SERVER = """
import json, os, runpy, sys, traceback, warnings
for line in sys.stdin:
    folder, arguments, *files = json.loads(line)
    with warnings.catch_warnings(action="ignore"):
        child = os.fork()
    if child:
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        continue
    os.chdir(folder)
    for number, file in enumerate([os.devnull, *files]):
        os.dup2(os.open(file, os.O_RDWR | os.O_CREAT | os.O_TRUNC), number)
    code = 0
    try:
        if arguments[0] == "-c":
            sys.argv = ["-c", *arguments[2:]]
            exec(arguments[1], {"__name__": "__main__"})
        else:
            sys.argv, sys.path[0] = arguments, folder
            runpy.run_path(arguments[0], run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
"""


def build(folder: Path, names: tuple[str, ...] = ALLOWED) -> Path:
    """Create the environment and return its interpreter. Packages are linked, as torch alone takes gigabytes."""
    venv.EnvBuilder(symlinks=os.name != "nt", with_pip=False).create(folder)
    python = folder / "bin" / "python"
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip())
    for package in closure(names):
        for top in sorted({path.parts[0] for path in package.files or ()} - {"..", "__pycache__"}):
            link, source = site / top, Path(str(package.locate_file(top)))
            if source.exists() and not link.exists():
                link.symlink_to(source)
    return python


def closure(names: tuple[str, ...]) -> list[Distribution]:
    """These distributions and their transitive requirements."""
    distributions: dict[str, Distribution] = {}
    pending = list(names)
    while pending:
        name = pending.pop().lower().replace("_", "-")
        if name in distributions:
            continue
        try:
            distributions[name] = distribution(name)
        except PackageNotFoundError:
            continue
        for text in distributions[name].requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                pending.append(requirement.name)
    return list(distributions.values())


class Interpreter:
    """A Python process with the packages imported, which forks for each command: importing torch takes seconds."""

    def __init__(self, path: Path, names: tuple[str, ...]) -> None:
        self._folder = path.parent
        self._process = subprocess.Popen(
            [str(path), "-W", "error", "-c", f"import {', '.join(names)}\n{SERVER}"],
            env={"OMP_NUM_THREADS": "1", "PATH": os.environ.get("PATH", "")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `python -W error ARGUMENTS` in a folder: a script with its arguments, or -c with code."""
        files = [self._folder / name for name in ("stdout", "stderr")]
        code = int(self._ask(str(folder), arguments, *map(str, files)))
        stdout, stderr = (file.read_text(encoding="utf-8") for file in files)
        return subprocess.CompletedProcess(arguments, code, stdout, stderr)

    def _ask(self, *words: object) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        self._process.communicate(timeout=60)
