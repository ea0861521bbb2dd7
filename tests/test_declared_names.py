"""No task, modality, kind of target or export format is compared by its name outside its declaration.

Where behavior differs, it is a method or a typed property of the declaration.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import get_args

from netloom.data.schema import TARGET_TYPES
from netloom.export import registry
from netloom.modalities.field_spec import Kind
from netloom.modalities.fields.registry import modalities
from netloom.tasks.registry import tasks

ROOT = Path(__file__).parents[1] / "builder" / "netloom"
NAMES = {*tasks(), *modalities(), *get_args(Kind), *TARGET_TYPES, *registry()}
# Most files contain none of the names as text, and need not be parsed.
QUOTED = re.compile("|".join(f"[\"']{re.escape(name)}[\"']" for name in NAMES))
# The declarations themselves; `layers` declares the kinds of tensors and Inputs, which share names with modalities.
DECLARATIONS = (
    "tasks/",
    "training/objectives/",
    "modalities/",
    "data/targets/",
    "data/schema.py",
    "export/formats/",
    "layers/layer.py",
    "layers/io.py",
)
# The same words with another meaning, by file, each with its reason. A name that is no longer compared is removed here.
HOMONYMS: dict[str, tuple[set[str], str]] = {
    "cli/bench/imports/transformers_models.py": ({"image"}, "the inputs of a family of models of transformers"),
    "cli/commands/runs.py": ({"class", "series"}, "headings of tables of scores"),
    "compile/importers/keras/graph_builder.py": ({"image"}, "the kind of an Input, whose axes Keras orders otherwise"),
    "compile/importers/layer_graph/attention_projections.py": ({"mask"}, "an input port of an attention layer"),
    "compile/importers/onnx/operators/product.py": ({"vector", "sequence", "image"}, "the rank of a tensor"),
    "data/tables/column_inference.py": ({"text"}, "an option of tables: the column of text to read"),
    "data/tables/table_dataset.py": ({"text"}, "the name of a column"),
    "data/uploads/array_views.py": ({"series"}, "an answer to the question of how to read arrays"),
    "data/uploads/kinds/series.py": ({"series"}, "the name of a question: the column that tells series apart"),
    "data/uploads/kinds/texts.py": ({"labels"}, "the name of a file that is not an example"),
    "data/uploads/tagged_sentences.py": ({"tags"}, "a column of a file of tagged words"),
    "data/uploads/upload_kind.py": ({"several", "number"}, "the declaration of kinds of questions"),
    "document/edits.py": ({"project"}, "a kind of edit"),
    "explain/concepts/concept_definition.py": ({"class"}, "the declaration of kinds of concepts"),
    "nn/attention.py": ({"table"}, "an encoding of positions: a table of embeddings"),
    "sandbox/batch_files.py": ({"table"}, "a key of an answer of the confined process"),
    "sandbox/models.py": ({"project"}, "a field of a model"),
    "store/runs.py": ({"tags"}, "the tags of a run, which a person sets"),
    "ui/home/import_form.py": ({"onnx", "pt2"}, "the suffixes of files of models"),
    "validation/document_schema.py": ({"number"}, "a type of JSON Schema"),
}


def test_names_are_compared_only_in_declarations() -> None:
    violations = [
        f"{place}:{line}: {name!r}"
        for place, line, name in comparisons()
        if not place.startswith(DECLARATIONS) and name not in HOMONYMS.get(place, ((), ""))[0]
    ]
    assert not violations, "Ask a property of the declaration instead of its name:\n" + "\n".join(violations)


def test_every_homonym_is_still_compared() -> None:
    found = {(place, name) for place, _, name in comparisons()}
    unused = [(place, name) for place, (names, _) in HOMONYMS.items() for name in names if (place, name) not in found]
    assert not unused, f"Remove from HOMONYMS what is no longer compared: {unused}"


@cache
def comparisons() -> list[tuple[str, int, str]]:
    """Each comparison with a name: the file, the line and the name."""
    return [
        (path.relative_to(ROOT).as_posix(), line, name)
        for path in sorted(ROOT.rglob("*.py"))
        for line, name in compared_names(path.read_text(encoding="utf-8"))
    ]


def compared_names(source: str) -> Iterator[tuple[int, str]]:
    """Yield the names in comparisons, in cases of `match`, and in lists, tuples and sets that are compared or searched,
    also by the name of a constant of the module."""
    if not QUOTED.search(source):
        return
    tree = ast.parse(source)
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            operands = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            operands = [node.value]
        else:
            continue
        for operand in operands:
            value = constants.get(operand.id, operand) if isinstance(operand, ast.Name) else operand
            yield from ((operand.lineno, name) for name in literals(value) if name in NAMES)


def literals(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Tuple | ast.List | ast.Set):
        for element in node.elts:
            yield from literals(element)
    elif (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("frozenset", "set", "tuple")
    ):
        for argument in node.args:
            yield from literals(argument)


def test_comparisons_are_detected_in_every_form() -> None:
    """The check itself, on a source with seven violations."""
    text = (
        'TEXTS = ("text", "tokens")\n'
        'a == "gan"\n'
        'x["kind"] != "mask"\n'
        '"image" in parts\n'
        "kind in TEXTS\n"
        'SETS: frozenset[str] = frozenset({"mask"})\n'
        "kind in SETS\n"
        'match kind:\n  case "class" | "other":\n    pass\n'
        'f("gan", kind="image") and table["text"] == 3\n'
    )
    found = list(compared_names(text))
    assert found == [(2, "gan"), (3, "mask"), (4, "image"), (5, "text"), (5, "tokens"), (7, "mask"), (9, "class")]
    for single in ('a == "gan"', "a == 'gan'", 'a in ("gan",)', 'match a:\n  case "gan":\n    pass'):
        assert [name for _, name in compared_names(single)] == ["gan"]
