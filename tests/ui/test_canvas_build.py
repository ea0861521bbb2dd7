"""The committed canvas build matches its sources, and the checks of its front end pass."""

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


def test_build_stamp_matches_the_sources() -> None:
    stamp = json.loads((BUILD / "stamp.json").read_text())
    sources = [path.relative_to(FRONTEND).as_posix() for path in (FRONTEND / "src").rglob("*") if path.is_file()]
    lines = []
    for path in sorted([*sources, *CONFIGURATION]):
        lines.append(f"{path}\0{_hash((FRONTEND / path).read_bytes().replace(bytes([13, 10]), bytes([10])))}")
    assert _hash("\n".join(lines).encode()) == stamp["sources"], "The sources changed: run npm run build in frontend/."


def test_build_files_match_their_hashes() -> None:
    stamp = json.loads((BUILD / "stamp.json").read_text())
    files = [path for path in BUILD.rglob("*") if path.is_file() and path.name != "stamp.json"]
    assert {path.relative_to(BUILD).as_posix(): _hash(path.read_bytes()) for path in files} == stamp["outputs"]
    assert len(list(BUILD.glob("index-*.js"))) == 1


def test_package_lock_contains_no_registry_urls() -> None:
    lock = json.loads((FRONTEND / "package-lock.json").read_text())
    assert not [name for name, package in lock["packages"].items() if "resolved" in package]


@pytest.mark.skipif(
    shutil.which("npx") is None or not (FRONTEND / "node_modules").exists(),
    reason="needs Node and npm ci in frontend/; people who use Netloom need neither",
)
@pytest.mark.parametrize("command", [["tsc", "--noEmit"], ["vitest", "run"]])
def test_frontend_type_check_and_unit_tests_pass(command: list[str]) -> None:
    process = subprocess.run(
        ["npx", "--no-install", *command], cwd=FRONTEND, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stdout + process.stderr
