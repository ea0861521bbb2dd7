"""Generates parts of the pages from declarations of the code, so that both always agree.

A page asks for such a part with a comment on its own line: `<!-- generate: layers -->`. MkDocs calls
`on_page_markdown`.
"""

from __future__ import annotations

import ast
import io
import json
import os
import re
import textwrap
import tomllib
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

import netloom
from netloom.cli import main
from netloom.layers import registry as layers
from netloom.modalities.fields.registry import modalities
from netloom.templates import architectures, templates

ROOT = Path(__file__).parents[1]
MARKER = re.compile(r"^(?P<indent> *)<!-- generate: (?P<name>\w+)(?: (?P<argument>[^>]+))? -->$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page with each marker replaced by its generated part."""
    return MARKER.sub(
        lambda match: textwrap.indent(PARTS[match["name"]](match["argument"] or ""), match["indent"]), markdown
    )


def command_help(command: str) -> str:
    """The output of `netloom COMMAND --help`."""
    os.environ["COLUMNS"] = "100"  # argparse wraps its text to the terminal
    return f"```text\n{_printed(*command.split(), '--help')}\n```"


def source(argument: str) -> str:
    """A class, a function, a constant or all code of a file, as it is in the tree: `PATH NAME` or `PATH`."""
    path, _, name = argument.partition(" ")
    text = (ROOT / path).read_text(encoding="utf-8")
    body = ast.parse(text).body
    if name:
        start = end = next(part for part in body if name in _names(part))
    else:
        start, end = body[1], body[-1]  # without the docstring of the module
    lines = text.splitlines()[start.lineno - 1 : end.end_lineno]
    return f'```python title="{path}"\n' + "\n".join(lines) + "\n```"


def _names(statement: ast.stmt) -> list[str]:
    """The names that a statement defines."""
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return [getattr(statement, "name", ""), *(target.id for target in targets if isinstance(target, ast.Name))]


def api_reference(_: str) -> str:
    """The functions of `netloom.api` in the order of its files, by their signatures and docstrings."""
    texts = []
    for path in sorted((ROOT / "builder/netloom/api").glob("*.py")):
        text = path.read_text(encoding="utf-8")
        functions = [part for part in ast.parse(text).body if isinstance(part, ast.FunctionDef)]
        texts += [_function(part, text.splitlines()) for part in functions if part.name in netloom.__all__]
    return "\n\n".join(texts)


def _function(function: ast.FunctionDef, lines: Sequence[str]) -> str:
    signature = "\n".join(lines[function.lineno - 1 : function.body[0].lineno - 1]).removesuffix(":")
    parts = [f"### {function.name}", f"```python\n{signature}\n```"]
    documented = ast.get_docstring(function) or ""
    for part in re.split(r"\n\n(?=[A-Z]\w+:\n)", re.sub(r":func:`(\w+)`", r"[`\1`](#\1)", documented)):
        title, _, body = part.partition(":\n")
        body = textwrap.dedent(body)
        if title == "Example":
            parts.append(f"```pycon\n{body}\n```")
        elif title in ("Args", "Raises"):
            items = re.sub(r"^(\w+): ", r"- `\1`: ", body, flags=re.MULTILINE)
            parts.append(f"**{'Arguments' if title == 'Args' else title}**\n\n{items}")
        else:
            parts.append(f"**{title}**\n\n{body}" if body else part)
    return "\n\n".join(parts)


def layer_tables(_: str) -> str:
    """The layers of the palette, by group."""
    groups: dict[str, list[tuple[str, str, str]]] = {}
    for layer in layers().values():
        title = f"[{layer.title}]({layer.url})" if layer.url else layer.title
        groups.setdefault(layer.group, []).append((title, f"`{layer.__name__}`", layer.summary))
    return _sections(groups, ("Layer", "In code", "What it does"))


def explainer_tables(_: str) -> str:
    """The methods of explanation, by group."""
    from netloom.explain.core.explainer import registry as explainers

    groups: dict[str, list[tuple[str, str, str]]] = {}
    for method in explainers().values():
        groups.setdefault(method.group, []).append(
            (f"[{method.title}]({method.url})", f"`{method.name}`", method.summary)
        )
    return _sections(groups, ("Method", "Name", "What it does"))


def template_table(_: str) -> str:
    """The templates by topic."""
    rows = [
        (item.title, f"`{item.name}`", item.topic, item.summary)
        for item in sorted(templates().values(), key=lambda item: item.topic)
    ]
    return _table(("Template", "Name", "Topic", "What it shows"), rows)


def architecture_table(_: str) -> str:
    """The published architectures, with their sizes."""
    rows = [
        (f"[{item.title}]({item.url})", f"`{item.name}`", str(item.year), f"{item.parameters:,}")
        for item in architectures().values()
    ]
    return _table(("Architecture", "Name", "Year", "Parameters"), rows)


def dataset_table(_: str) -> str:
    """The built-in datasets."""
    listed = [item for item in json.loads(_printed("--json", "data", "list")) if item["builtin"]]
    rows = [(item["title"], f"`{item['name']}`", item["kind"], item["task"], item["summary"]) for item in listed]
    return _table(("Dataset", "Name", "Kind", "Task", "What it holds"), rows)


def modality_table(_: str) -> str:
    """The modalities with what each of them decides."""
    head = ("Modality", "Encodings", "Tensor", "Settings", "Usual baseline", "Widget")
    rows = []
    for name, modality in modalities().items():
        encodings = ", ".join(f"`{encoder.encoding}`" for encoder in modality.encoders)
        settings = ", ".join(f"`{setting}`" for setting in modality.settings.model_fields) or "by column, or none"
        rows.append(
            (
                f"`{name}`",
                encodings,
                modality.kind,
                settings,
                modality.usual_baseline_phrase,
                modality.editor.name.lower(),
            )
        )
    return _table(head, rows)


def view_table(_: str) -> str:
    """The views of the Explain page, by section."""
    from netloom.ui.explain.view import SECTIONS

    rows = [(section.title, view.title, view.summary) for section in SECTIONS for view in section.views]
    return _table(("Section", "View", "What it shows"), rows)


def import_layers(_: str) -> str:
    """The layers of packages in the contract of import-linter."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layered = next(contract for contract in contracts if contract["type"] == "layers")
    return "```text\n" + "\n".join(line.replace(" : ", ", ") for line in layered["layers"]) + "\n```"


def _printed(*words: str) -> str:
    """The standard output of `netloom` with these arguments."""
    with redirect_stdout(io.StringIO()) as printed, suppress(SystemExit):
        main([*words])
    return printed.getvalue().rstrip()


def _sections(groups: dict[str, list[tuple[str, str, str]]], head: Sequence[str]) -> str:
    return "\n\n".join(f"## {title}\n\n{_table(head, rows)}" for title, rows in groups.items())


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


PARTS: dict[str, Callable[[str], str]] = {
    "help": command_help,
    "source": source,
    "api": api_reference,
    "layers": layer_tables,
    "explainers": explainer_tables,
    "templates": template_table,
    "architectures": architecture_table,
    "datasets": dataset_table,
    "modalities": modality_table,
    "views": view_table,
    "imports": import_layers,
}
