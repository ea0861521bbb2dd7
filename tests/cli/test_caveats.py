"""What makes a score untrue is said by every command that speaks of the score."""

from __future__ import annotations

from pathlib import Path

from netloom.data.preparation.project_defaults import default_choice
from netloom.document import write
from netloom.templates import templates
from netloom.templates.starting import start
from tests.cli.conftest import Console
from tests.data.crafted import lines

SAID = "'alive' all but gives the target away"


def test_folders_of_a_split_are_added_together(console: Console, tmp_path: Path) -> None:
    for part, rows in (("train", range(60)), ("test", range(60, 80))):
        (tmp_path / part).mkdir()
        (tmp_path / part / "rows.csv").write_bytes(lines("n,label", (f"{row},{'pq'[row % 2]}" for row in rows)))
    for files in (("train", "test"), ("train/rows.csv", "test/rows.csv")):
        added = console("data", "add", *(tmp_path / name for name in files), "--json")
        assert added.code == 0, added.err
        assert console("data", "show", added.value["name"], "--json").value["splits"]["test"] == 20
    assert "did you mean 'ratings'" in console("data", "add", tmp_path / "train", "--kind", "rating").err


def test_a_leak_is_said_from_the_document_to_the_comparison(console: Console, tmp_path: Path) -> None:
    rows = (f"{row * 7 % 50},{'yn'[row % 2]},{row % 2}" for row in range(80))
    (tmp_path / "leak.csv").write_bytes(lines("n,alive,label", rows))
    name = str(console("data", "add", tmp_path / "leak.csv", "--target", "label", "--json").value["name"])
    assert SAID in console("data", "show", name).out
    project = start(templates()["breast_cancer"], default_choice(name, console.home), "leak", console.home)
    assert project is not None
    write(tmp_path / "leak.json", project)
    assert f"warning: {SAID}" in console("check", tmp_path / "leak.json").out
    trained = console("train", tmp_path / "leak.json", "--epochs", 1, "--device", "cpu")
    assert trained.code == 0
    assert f"! {SAID}" in trained.err
    assert f"! {SAID}" in trained.out
    assert f"! {SAID}" in console("evaluate", "last").out
    # The fix is made for new projects, and nothing is said of those.
    assert console("data", "report", name, "--quick", "--fix", "nothing").code == 2
    report = console("data", "report", name, "--quick", "--fix", "gives_away")
    assert SAID not in report.out
    assert "Leave out 'alive'" in report.err
    fixed = start(templates()["breast_cancer"], default_choice(name, console.home), "fixed", console.home)
    assert fixed is not None
    write(tmp_path / "fixed.json", fixed)
    assert SAID not in console("check", tmp_path / "fixed.json").out
    again = console("train", tmp_path / "fixed.json", "--epochs", 1, "--device", "cpu", "--json")
    assert again.value["caveats"] == []
    first = trained.out.split()[0]
    compared = console("runs", "compare", first, again.value["run"])
    assert "gives away" in compared.out
    assert f"! {first[:8]}: {SAID}" in compared.out
    assert SAID in console("data", "report", name, "--quick", "--take-back").out
