"""The README and the documentation match the product: counts, commands, variables and formats."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from netloom.cli.commands import registry as commands
from netloom.cli.entry import parser
from netloom.core import settings
from netloom.core.errors import UsageError
from tests.cli.conftest import called

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "pages"
README = (ROOT / "README.md").read_text(encoding="utf-8")
DEPLOYMENT, COMMANDS = ((PAGES / name).read_text(encoding="utf-8") for name in ("deployment.md", "cli.md"))
TEXTS = [README, *(page.read_text(encoding="utf-8") for page in sorted(PAGES.rglob("*.md")))]
SHELL = "\n".join(block for text in TEXTS for block in re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S))
VARIABLE = re.compile(r"\bNETLOOM_[A-Z0-9_]*[A-Z0-9]\b")


def documented_calls() -> list[str]:
    """Every distinct call of `netloom` in the shell blocks, without comments."""
    calls = []
    for line in SHELL.splitlines():
        line = re.sub(r"^([A-Z_]+=\S+ )+", "", line)  # variables that are set for one call
        for part in re.split(r" && | & ", line.split("  #")[0].split(" # ")[0]):
            if part.strip().startswith("netloom "):
                calls.append(part.strip().rstrip("& "))
    return list(dict.fromkeys(calls))


def call_arguments(line: str) -> list[str]:
    return shlex.split(line)[1:]


def test_screenshots_show_the_app_of_today() -> None:
    """`python docs/screenshots.py` takes them again."""
    from netloom.layers import registry
    from netloom.ui.shell.navigation import PAGES as APP_PAGES

    taken = json.loads((ROOT / "docs" / "screenshots.json").read_text(encoding="utf-8"))
    assert taken == {"pages": [title for title, _ in APP_PAGES.values()], "layers": len(registry())}


def test_readme_is_short() -> None:
    assert len(README.splitlines()) <= 120, "Move details to docs/pages."


def stated_counts() -> dict[str, tuple[str, Callable[[], int]]]:
    """Each number that the README states: the pattern of its sentence, and how it is counted."""
    from netloom.data import datasets
    from netloom.explain.core.explainer import registry as explainers
    from netloom.layers import registry as layers
    from netloom.templates import architectures, templates
    from netloom.templates.shelf import blocks

    return {
        "templates": (r"(\d+)\s+templates\s+with\s+data", lambda: len(templates())),
        "architectures": (r"(\d+)\s+published\s+architectures", lambda: len(architectures())),
        "blocks": (r"(\d+)\s+built-in\s+blocks", lambda: len(blocks())),
        "methods": (r"(\d+)\s+methods\s+from", lambda: len(explainers()) + 1),  # attribution flow counts, too
        "datasets": (r"(\d+)\s+built-in\s+datasets", lambda: sum(item.builtin for item in datasets(ROOT / "nowhere"))),
        "layers": (r"(\d+)\s+layers", lambda: len(layers())),
    }


@pytest.mark.parametrize("name", ["templates", "architectures", "blocks", "methods", "datasets", "layers"])
def test_readme_counts_match_the_code(name: str) -> None:
    pattern, count = stated_counts()[name]
    stated = re.search(pattern, README)
    assert stated is not None, f"the README does not say how many {name} there are"
    assert int(stated[1]) == count()


def test_documentation_contains_many_commands() -> None:
    assert len(documented_calls()) > 30


@pytest.mark.parametrize("line", documented_calls())
def test_documented_commands_parse(line: str) -> None:
    try:
        arguments = call_arguments(line)
        parser(arguments).parse_args(arguments)
    except UsageError as error:
        pytest.fail(f"{line}: {error}")
    except SystemExit as end:
        if end.code != 0:  # 0: --help
            pytest.fail(f"{line}: exit code {end.code}")


def test_every_command_is_documented() -> None:
    named = {call_arguments(line)[0] for line in documented_calls()}
    assert set(commands()) <= named


def test_every_export_format_is_documented() -> None:
    from netloom.export import export_formats

    (sentence,) = re.findall(r"The formats\s+are (.*?)\.$", COMMANDS, re.M | re.S)
    assert set(re.findall(r"`([a-z0-9]+)`", sentence)) == {item.name for item in export_formats()}


def test_variable_table_matches_the_settings() -> None:
    assert settings.table() in DEPLOYMENT


def test_documented_variables_exist() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py")]
    test_variables = {name for text in sources for name in VARIABLE.findall(text) if name.startswith("NETLOOM_TEST_")}
    named = {name for text in TEXTS for name in VARIABLE.findall(text)}
    assert named <= test_variables | {settings.variable(name) for name in settings.Settings.model_fields}


def test_documented_data_add_commands_work(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The documented calls of `data add`, on files that match their names and options."""
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
    # tests/test_docs.py runs the others, whose pages create the files. Those of CLINC150 are downloaded by hand.
    calls = [
        line for line in documented_calls() if re.match(r"netloom data add (?!https:|houses|clinc150|photos)", line)
    ]
    assert len(calls) == 3
    for line in calls:
        result = called("--home", home, *call_arguments(line))
        assert result.code == 0, result.err
