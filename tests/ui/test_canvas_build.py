"""The committed canvas is built from the sources beside it, and its own tools say that they are sound."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest

CANVAS = Path(__file__).parents[2] / "builder" / "netloom" / "ui" / "design" / "canvas"
FRONTEND, BUILD = CANVAS / "frontend", CANVAS / "build"
CONFIGURATION = ("package.json", "package-lock.json", "vite.config.ts", "tsconfig.json")


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_the_build_is_of_these_sources() -> None:
    stamp = json.loads((BUILD / "stamp.json").read_text())
    sources = [path.relative_to(FRONTEND).as_posix() for path in (FRONTEND / "src").rglob("*") if path.is_file()]
    lines = []
    for path in sorted([*sources, *CONFIGURATION]):
        lines.append(f"{path}\0{_hash((FRONTEND / path).read_bytes().replace(bytes([13, 10]), bytes([10])))}")
    assert _hash("\n".join(lines).encode()) == stamp["sources"], "The sources changed: run npm run build in frontend/."


def test_the_build_was_not_edited() -> None:
    stamp = json.loads((BUILD / "stamp.json").read_text())
    files = [path for path in BUILD.rglob("*") if path.is_file() and path.name != "stamp.json"]
    assert {path.relative_to(BUILD).as_posix(): _hash(path.read_bytes()) for path in files} == stamp["outputs"]
    assert len(list(BUILD.glob("index-*.js"))) == 1


def test_the_lock_names_no_registry() -> None:
    lock = json.loads((FRONTEND / "package-lock.json").read_text())
    assert not [name for name, package in lock["packages"].items() if "resolved" in package]


@pytest.mark.skipif(
    shutil.which("npx") is None or not (FRONTEND / "node_modules").exists(),
    reason="needs Node and npm ci in frontend/; people who use Netloom need neither",
)
@pytest.mark.parametrize("command", [["tsc", "--noEmit"], ["vitest", "run"]])
def test_the_front_ends_own_checks(command: list[str]) -> None:
    done = subprocess.run(["npx", "--no-install", *command], cwd=FRONTEND, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
