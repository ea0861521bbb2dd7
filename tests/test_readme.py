"""What the README says, held against the product: its counts, commands, variables and formats."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from netloom.cli.commands import registry as commands
from netloom.cli.entry import parser
from netloom.core.errors import UsageError
from tests.cli.conftest import called

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHELL = "\n".join(re.findall(r"^```sh\n(.*?)^```", README, re.M | re.S))
# Words after which another program's command follows, or which belong to the shell.
ENDS = ("#", "&&", "&", "|", ">")


def lines() -> list[str]:
    """Every call of `netloom` in the README's blocks, without comments."""
    found = []
    for line in SHELL.splitlines():
        line = re.sub(r"^([A-Z_]+=\S+ )+", "", line)  # variables that are set for one call
        for part in re.split(r" && | & ", line.split("  #")[0].split(" # ")[0]):
            if part.strip().startswith("netloom "):
                found.append(part.strip().rstrip("& "))
    return found


def words(line: str) -> list[str]:
    return shlex.split(line)[1:]


def counted() -> dict[str, tuple[str, Callable[[], int]]]:
    """Each number that the README states: the sentence it stands in, and how it is counted."""
    from netloom.data import datasets
    from netloom.explain.core.explainer import registry as explainers
    from netloom.layers import registry as layers
    from netloom.templates import architectures, templates
    from netloom.templates.shelf import blocks

    return {
        "templates": (r"(\d+) templates with data", lambda: len(templates())),
        "architectures": (r"(\d+) published architectures", lambda: len(architectures())),
        "blocks": (r"(\d+) ready blocks", lambda: len(blocks())),
        "methods": (r"(\d+) methods from", lambda: len(explainers()) + 1),  # the flow through the graph is one, too
        "datasets": (r"(\d+) built-in datasets", lambda: sum(item.builtin for item in datasets(ROOT / "nowhere"))),
        "layers": (r"whole of one of the (\d+)", lambda: len(layers())),
    }


@pytest.mark.parametrize("name", ["templates", "architectures", "blocks", "methods", "datasets", "layers"])
def test_counts(name: str) -> None:
    pattern, count = counted()[name]
    stated = re.search(pattern, README)
    assert stated is not None, f"the README does not say how many {name} there are"
    assert int(stated[1]) == count()


def test_there_are_many_commands_in_it() -> None:
    assert len(lines()) > 30


@pytest.mark.parametrize("line", lines())
def test_every_command_is_one_that_can_be_called(line: str) -> None:
    try:
        parser().parse_args(words(line))
    except UsageError as error:
        pytest.fail(f"{line}: {error}")


def test_every_command_is_in_it() -> None:
    named = {words(line)[0] for line in lines()}
    assert set(commands()) <= named


def test_every_export_format_is_in_it() -> None:
    from netloom.export import export_formats

    (line,) = [line for line in SHELL.splitlines() if line.startswith("netloom export")]
    assert {item.name for item in export_formats()} == set(re.findall(r"[a-z0-9]+", line.split("--format")[1])) - {
        "to", "model", "also",
    }  # fmt: skip


def test_every_variable_is_in_it() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "builder").rglob("*.py")]
    used = {name for text in sources for name in re.findall(r"\bNETLOOM_[A-Z0-9_]*[A-Z0-9]\b", text)}
    assert used == set(re.findall(r"NETLOOM_[A-Z0-9_]*[A-Z0-9]", README))


def test_the_data_that_it_adds_can_be_added(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its calls of `data add` with files, on files as their names and options tell."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    days = np.arange("2024-01-01", "2024-07-01", dtype="datetime64[D]")
    prices = 100 + random.normal(size=(len(days), 3)).cumsum(0)
    rows = [f"{day},{a:.2f},{b:.2f},{c:.2f}" for day, (a, b, c) in zip(days, prices, strict=True)]
    Path("prices.csv").write_text("\n".join(["date,open,close,high", *rows]))
    images, labels = random.integers(0, 255, (60, 28, 28), dtype=np.uint8), np.arange(60, dtype=np.uint8) % 10
    import gzip

    Path("train-images-idx3-ubyte.gz").write_bytes(
        gzip.compress(bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in images.shape) + images.tobytes())
    )
    Path("train-labels-idx1-ubyte.gz").write_bytes(
        gzip.compress(bytes([0, 0, 8, 1]) + (60).to_bytes(4, "big") + labels.tobytes())
    )
    ours = [line for line in lines() if line.startswith("netloom data add") and "://" not in line]
    assert len(ours) == 2
    for line in ours:
        answer = called("--home", home, *words(line))
        assert answer.code == 0, answer.err
