"""No task, modality, kind of target, export format or layer is compared by its name outside its declaration.

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
from netloom.document.network import SUBNETWORK, EndKind
from netloom.export import registry
from netloom.layers import registry as layers
from netloom.modalities.field_spec import Kind
from netloom.modalities.fields.registry import modalities
from netloom.tasks.registry import tasks

ROOT = Path(__file__).parents[1] / "builder" / "netloom"
NAMES = {*tasks(), *modalities(), *get_args(Kind), *TARGET_TYPES, *registry()}
# Documents declare the types of the ends of a network and of its subnetworks; every other layer declares itself.
LAYERS = {*layers()} - {*get_args(EndKind), SUBNETWORK}
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
    "data/uploads/arrays/array_views.py": ({"series"}, "an answer to the question of how to read arrays"),
    "data/uploads/kinds/series.py": ({"series"}, "the name of a question: the column that tells series apart"),
    "data/uploads/kinds/texts.py": ({"labels"}, "the name of a file that is not an example"),
    "data/uploads/texts/tagged_sentences.py": ({"tags"}, "a column of a file of tagged words"),
    "data/uploads/upload_kind.py": ({"several", "number"}, "the declaration of kinds of questions"),
    "document/edits.py": ({"project"}, "a kind of edit"),
    "explain/concepts/concept_definition.py": ({"class"}, "the declaration of kinds of concepts"),
    "nn/attention.py": ({"table"}, "an encoding of positions: a table of embeddings"),
    "sandbox/models.py": ({"project"}, "a field of a model"),
    "store/runs.py": ({"tags"}, "the tags of a run, which a person sets"),
    "ui/home/import_form.py": ({"onnx", "pt2"}, "the suffixes of files of models"),
    "validation/document_schema.py": ({"number"}, "a type of JSON Schema"),
}
# The layers themselves, and code that by its nature maps other notations to the names of layers: operators of other
# frameworks, weights of published models, and benchmarks of documents of their own.
LAYER_CODE = ("layers/", "nn/", "compile/importers/", "training/pretrained/", "cli/bench/")
# Names of layers elsewhere, by file, each with its reason. A name that is no longer compared is removed here.
LAYER_NAMES: dict[str, tuple[set[str], str]] = {
    "compression/methods/integer_quantization.py": ({"MatMul"}, "an operator of ONNX"),
    "compression/methods/weight_only.py": ({"Gather"}, "an operator of ONNX"),
    "compression/unpacked_weights.py": ({"MatMul", "Gather"}, "operators of ONNX"),
    "explain/attribution/layer/layer_method.py": ({"Dropout", "Embedding"}, "layers that are not a default choice"),
    "explain/core/network/attention_capture.py": (
        {"AdditiveAttention", "GraphAttention", "LinearAttention", "MultiHeadAttention", "AttentionPooling"}
        | {"WindowAttention"},
        "where the code of each module computes its weights; other modules have a method `attend`",
    ),
    "explain/core/requirements.py": (
        set("ReLU LeakyReLU ELU Sigmoid Tanh Softplus MaxPool1d MaxPool2d MaxPool3d".split())
        | set("Identity Linear Conv1d Conv2d BatchNorm1d BatchNorm2d Dropout Dropout2d Flatten Reshape Max".split())
        | set("FlattenAxes AvgPool1d AvgPool2d AdaptiveAvgPool2d GlobalAvgPool GlobalMaxPool Embedding Mean".split())
        | set("Permute Transpose".split()),
        "the rules of DeepLift and of layer-wise relevance propagation, which exist for these modules only",
    ),
    "templates/starting.py": ({"Flatten", "Linear", "LogMel", "Reshape", "Slice"}, "the layers of two templates"),
    "training/optimization/optimizers.py": ({"Norm", "Embedding"}, "words in class names of the author's code"),
    "ui/components/examples/example_editor.py": ({"Flatten"}, "a change of a series"),
}


def test_names_are_compared_only_in_declarations() -> None:
    violations = [
        f"{place}:{line}: {name!r}"
        for place, line, name in comparisons()
        if not place.startswith(DECLARATIONS) and name not in HOMONYMS.get(place, ((), ""))[0]
    ]
    assert not violations, "Ask a property of the declaration instead of its name:\n" + "\n".join(violations)


def test_names_of_layers_are_compared_only_in_layers() -> None:
    violations = [
        f"{place}:{line}: {name!r}"
        for place, line, name in layer_comparisons()
        if not place.startswith(LAYER_CODE) and name not in LAYER_NAMES.get(place, ((), ""))[0]
    ]
    assert not violations, "Ask a property of the layer (docs/pages/extend/layer.md):\n" + "\n".join(violations)


def test_every_exception_is_still_compared() -> None:
    for exceptions, compared in ((HOMONYMS, comparisons()), (LAYER_NAMES, layer_comparisons())):
        found = {(place, name) for place, _, name in compared}
        listed = {(place, name) for place, (names, _) in exceptions.items() for name in names}
        assert not listed - found, f"Remove what is no longer compared: {sorted(listed - found)}"


@cache
def comparisons() -> list[tuple[str, int, str]]:
    """Each comparison with a name: the file, the line and the name."""
    return [(place, line, name) for place, tree in trees(NAMES, "[\"']") for line, name in compared_names(tree, NAMES)]


@cache
def layer_comparisons() -> list[tuple[str, int, str]]:
    """Each comparison with the name of a layer, and each list of such names: the file, the line and the name."""
    return [
        (place, line, name)
        for place, tree in trees(LAYERS, "[\"'\\s]")
        for line, name in (*compared_names(tree, LAYERS), *listed_names(tree, LAYERS))
    ]


def trees(names: set[str], around: str) -> Iterator[tuple[str, ast.Module]]:
    """Yield each file with one of the names between two characters `around`; the others need not be parsed."""
    pattern = re.compile(f"{around}(?:{'|'.join(map(re.escape, names))}){around}")
    for path in sorted(ROOT.rglob("*.py")):
        if pattern.search(text := path.read_text(encoding="utf-8")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(text)


def listed_names(tree: ast.Module, names: set[str]) -> Iterator[tuple[int, str]]:
    """Yield the names in constants of the module that list nothing else, and in the keys of dictionaries of several."""
    for statement in tree.body:
        value = statement.value if isinstance(statement, ast.Assign | ast.AnnAssign) else None
        if value is None or isinstance(value, ast.Constant):
            continue
        is_nested = isinstance(value, ast.Tuple | ast.List) and not all(
            isinstance(element, ast.Constant) for element in value.elts
        )
        found = list(literals(value))
        if found and not is_nested and names.issuperset(found):
            yield from ((value.lineno, name) for name in found)
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict) and len(node.keys) > 1:
            keys = [key.value if isinstance(key, ast.Constant) else None for key in node.keys]
            if names.issuperset(keys):
                yield from ((node.lineno, str(key)) for key in keys)


def compared_names(tree: ast.Module, names: set[str]) -> Iterator[tuple[int, str]]:
    """Yield the names in comparisons, in cases of `match`, and in lists, tuples and sets that are compared or searched,
    also by the name of a constant of the module, or of an element in a comprehension."""
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    elements = {
        node.target.id: node.iter
        for node in ast.walk(tree)
        if isinstance(node, ast.comprehension) and isinstance(node.target, ast.Name)
    }
    constants = elements | constants
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            operands = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            operands = [node.value]
        else:
            continue
        for operand in operands:
            value = constants.get(operand.id, operand) if isinstance(operand, ast.Name) else operand
            yield from ((operand.lineno, name) for name in literals(value) if name in names)


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
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "split":
        for text in literals(node.func.value):
            yield from text.split()


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
    found = list(compared_names(ast.parse(text), NAMES))
    assert found == [(2, "gan"), (3, "mask"), (4, "image"), (5, "text"), (5, "tokens"), (7, "mask"), (9, "class")]
    for single in ('a == "gan"', "a == 'gan'", 'a in ("gan",)', 'match a:\n  case "gan":\n    pass'):
        assert [name for _, name in compared_names(ast.parse(single), NAMES)] == ["gan"]


def test_lists_of_layers_are_detected() -> None:
    """The check itself: constants and dictionaries of names of layers, and texts that are split."""
    lists = ast.parse(
        'A = ("ReLU", "GELU")\nB: object = frozenset("Linear Mean".split())\nC = ("Linear", "other")\nD = "Add"\n'
        'f({"Sum": 1, "Max": 2}, {"Sum": 1, "other": 2})'
    )
    assert [name for _, name in listed_names(lists, LAYERS)] == ["ReLU", "GELU", "Linear", "Mean", "Sum", "Max"]
    compared = ast.parse('B = frozenset("Linear Mean".split())\nx in B\nany(word in y for word in ("Norm", "else"))')
    assert [name for _, name in compared_names(compared, LAYERS)] == ["Linear", "Mean", "Norm"]
