"""The documentation: it builds without warnings, its examples run, and all references exist."""

from __future__ import annotations

import os
import pkgutil
import re
import shlex
from pathlib import Path
from typing import get_args

import pytest
import yaml

from netloom.cli.commands import registry as commands
from tests.cli.conftest import called, training_here
from tests.preloaded import start_python

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted((DOCS / "pages").rglob("*.md"))
GUIDE = [page for page in PAGES if page.parent.name == "guide"]
EXAMPLE = re.compile(r"^<!-- run -->\n```(?P<language>\w+)\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"^( *)```.*?^\1```", re.MULTILINE | re.DOTALL)
NAME = re.compile(r"`(netloom(?:\.\w+)+)`")
# Paths in the repository, such as `builder/netloom/layers/dense.py`.
PATH = re.compile(r"(?<=[`\s])((?:builder|tests|pages|docs|\.github)/[\w./-]*\w/?)(?=[`\s])")


def page_name(page: Path) -> str:
    return page.relative_to(DOCS / "pages").as_posix()


def runnable_examples(page: Path) -> list[tuple[str, str]]:
    """The examples of a page that are marked as runnable: their language and their code."""
    return [(match["language"], match["code"]) for match in EXAMPLE.finditer(page.read_text(encoding="utf-8"))]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site. A missing link target, anchor or navigation page is an error."""
    folder = tmp_path_factory.mktemp("site")
    # Without -q: messages that are not logged do not count as warnings.
    command = ("build", "--strict", "-f", DOCS / "mkdocs.yml", "-d", folder / "site")
    environment, log = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}, folder / "log.txt"
    process = start_python("-m", "mkdocs", *command, output=log, errors=log, environment=environment)
    assert process.wait(120) == 0, log.read_text(encoding="utf-8")
    return folder / "site"


def test_site_contains_every_page(site: Path) -> None:
    built = {path.relative_to(site).parent.as_posix() for path in site.rglob("index.html")}
    expected = {page_name(page).removesuffix(".md") for page in PAGES}
    assert {("index" if name == "." else name) for name in built} == expected


def test_site_contains_no_generate_markers(site: Path) -> None:
    assert not [path for path in site.rglob("*.html") if "<!-- generate:" in path.read_text(encoding="utf-8")]


def test_layer_reference_lists_every_layer(site: Path) -> None:
    from netloom.layers import registry

    shown = (site / "reference" / "layers" / "index.html").read_text(encoding="utf-8")
    assert not [name for name in registry() if f"<code>{name}</code>" not in shown]


def test_api_reference_lists_every_function(site: Path) -> None:
    import netloom

    shown = (site / "python-api" / "index.html").read_text(encoding="utf-8")
    assert not [name for name in netloom.__all__ if name != "__version__" and f'<h3 id="{name}">' not in shown]


def test_cli_page_has_a_section_per_command() -> None:
    text = (DOCS / "pages" / "cli.md").read_text(encoding="utf-8")
    expected = []
    for command in commands():
        listed = re.search(r"^  ([a-z]+(?:\|[a-z]+)+)$", called(command, "--help").out, re.MULTILINE)
        expected += [command, *(f"{command} {part}" for part in (listed[1].split("|") if listed else []))]
    assert [f"## {command}" for command in commands()] == re.findall(r"^## .*$", text, re.MULTILINE)
    assert expected == re.findall(r"<!-- generate: help (.*) -->", text)
    assert "data add" in expected


def test_data_formats_page_matches_the_code() -> None:
    """The upload kinds, split methods and limits that the page lists."""
    from netloom.data import limits
    from netloom.data.uploads.upload_kind import readers
    from netloom.document import DataChoice

    text = (DOCS / "pages" / "data-formats.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| [^|]+ \| `(\w+)` \|", text, re.MULTILINE)) == set(readers())
    splits = get_args(DataChoice.model_fields["split"].annotation)
    assert {"auto", *re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)} == set(splits)
    for stated in (
        f"{limits.MAX_FILE_BYTES / 2**20:.0f} MiB",
        f"{limits.MAX_ROWS:,} and {limits.MAX_COLUMNS:,}",
        f"{limits.MAX_STREAMED_BYTES / 2**30:.0f} GiB, {limits.MAX_STREAMED_ROWS:,} rows",
        f"{limits.MAX_EXAMPLES:,}, each up to {limits.MAX_PIXELS / 1e6:.0f} megapixels",
        f"sides of at most {limits.STORED_SIDE} pixels",
        f"{limits.MAX_MEMBERS:,} ({limits.MAX_EXAMPLES:,} with an example each",
        f"unpacked up to {limits.MAX_UNPACKED_BYTES / 2**30:.0f} GiB",
    ):
        assert stated in text


@pytest.mark.parametrize("page", [page for page in PAGES if runnable_examples(page)], ids=page_name)
def test_documentation_examples_run(page: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The examples of one page run in order in one folder, each Python example with names of its own. They train in
    this process: other tests start workers."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with training_here():
        for language, code in runnable_examples(page):
            if language == "python":
                exec(compile(code, f"example of {page_name(page)}", "exec"), {"__name__": "__main__"})
                continue
            assert language == "sh", f"{page_name(page)} has an example in {language}, which cannot be run"
            for line in code.splitlines():
                program, *words = shlex.split(line, comments=True)
                assert program == "netloom", line
                result = called("--home", home, *words)
                assert result.code == 0, f"{line}\n{result.err}"


def test_documentation_has_runnable_examples() -> None:
    assert sum(len(runnable_examples(page)) for page in PAGES) > 5


@pytest.mark.parametrize("page", [*PAGES, *sorted(ROOT.glob("*.md"))], ids=lambda page: page.name)
def test_mentioned_paths_exist(page: Path) -> None:
    named = PATH.findall(page.read_text(encoding="utf-8"))
    assert not [path for path in named if not (ROOT / path).exists()]


def test_developer_guides_include_source_code(site: Path) -> None:
    for page in (DOCS / "pages" / "extend").glob("*.md"):
        assert "<!-- generate: source" in page.read_text(encoding="utf-8"), page
        assert 'class="filename"' in (site / "extend" / page.stem / "index.html").read_text(encoding="utf-8"), page


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_mentioned_python_names_exist(page: Path) -> None:
    for name in NAME.findall(page.read_text(encoding="utf-8")):
        pkgutil.resolve_name(name)


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")), ids=lambda page: page.name)
def test_relative_links_resolve(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
    assert not [link for link in links if not (ROOT / link).exists()]


@pytest.mark.parametrize("page", GUIDE, ids=page_name)
def test_bold_labels_in_the_guide_exist_in_the_app(page: Path) -> None:
    """Bold text in the user guide is a label of the app, word for word."""
    sources = [*(ROOT / "pages").glob("*.py")]
    for pattern in ("*.py", "*.ts", "*.tsx"):
        sources += [path for path in (ROOT / "builder/netloom/ui").rglob(pattern) if "node_modules" not in path.parts]
    app = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    labels = re.findall(r"\*\*(.+?)\*\*", CODE.sub("", page.read_text(encoding="utf-8")))
    assert not [label for label in labels if not re.search(rf"[\"'>]{re.escape(label)}[\"'<]", app)]


def test_guide_mentions_labels() -> None:
    assert sum(page.read_text(encoding="utf-8").count("**") // 2 for page in GUIDE) > 15


def test_images_are_small_and_referenced() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in [*PAGES, ROOT / "README.md"])
    pictures = sorted((DOCS / "pages" / "images").iterdir())
    assert pictures
    assert not [picture.name for picture in pictures if picture.stat().st_size > 250 * 1024]
    assert not [picture.name for picture in pictures if f"images/{picture.name}" not in text]


@pytest.mark.parametrize("path", sorted(ROOT.glob(".github/**/*.yml")), ids=lambda path: path.name)
def test_github_yaml_files_are_valid(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(workflow, dict)
    for job in workflow.get("jobs", {}).values():
        working_directory = ROOT / job.get("defaults", {}).get("run", {}).get("working-directory", "")
        assert working_directory.is_dir()
        for step in job["steps"]:
            assert len({"uses", "run"} & set(step)) == 1
            script = re.fullmatch(r"npm (?:run )?(?!ci$)(\w+)", step.get("run", ""))
            assert script is None or f'"{script[1]}":' in (working_directory / "package.json").read_text(
                encoding="utf-8"
            )
