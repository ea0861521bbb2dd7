"""A notebook with the source, the preprocessing and example rows, and the weights beside it."""

from __future__ import annotations

import ast
import io
import json
import tempfile
import traceback
import zipfile
from pprint import pformat
from typing import Any

from netloom.export.archive import as_json, preprocess, python, rows, sources, weights
from netloom.export.format import Batch, ExportError, Format, Trained
from netloom.export.verification import run
from netloom.export.zip_files import CARD, pack, with_member

EXAMPLES = 3
WIDTH = 110
NOTEBOOK, WEIGHTS = "network.ipynb", "weights.safetensors"
LOADS = f'load_file("{WEIGHTS}")'
# The parts of predict.py that a notebook needs; the rest reads files.
PREDICTION = (
    "BATCH", "predict", "predict_decoded", "predict_next_token", "predict_texts", "PREDICTORS", "outputs", "texts",
)  # fmt: skip


class Notebook(Format):
    """A notebook of format 4.5 and the weights, in one zip. https://nbformat.readthedocs.io/en/latest/format_description.html"""

    name = "notebook"
    title = "Notebook"
    summary = "A Jupyter notebook with the source and example rows that loads the weights beside it and predicts"
    suffix = ".notebook.zip"
    media_type = "application/zip"
    tolerance = 1e-5

    def content(self, trained: Trained) -> bytes:
        return pack({NOTEBOOK: as_json(_notebook(trained)), WEIGHTS: weights(trained.model)})

    def with_card(self, content: bytes, card: str) -> bytes:
        return with_member(content, CARD, card.encode())

    def answers(self, content: bytes, batches: list[Batch]) -> list[Batch]:
        """Run the code cells in order, as Jupyter does, and return the outputs of the network that they create."""
        # In this process: a new one would spend two seconds per export on importing torch.
        space: dict[str, Any] = {"__name__": "__main__", "print": lambda *_: None}
        with tempfile.TemporaryDirectory(prefix="netloom-notebook-") as folder:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                file = archive.extract(WEIGHTS, folder)
                cells = json.loads(archive.read(NOTEBOOK))["cells"]
            for index, cell in enumerate(cells):
                if cell["cell_type"] != "code":
                    continue
                code = "".join(cell["source"]).replace(LOADS, f"load_file({file!r})")
                try:
                    # `dont_inherit`: the `__future__` import of this module must not apply to the cells.
                    exec(compile(code, f"<cell {index}>", "exec", dont_inherit=True), space)
                except Exception as error:
                    last = traceback.format_exception_only(error)[-1].strip()
                    raise ExportError(f"The notebook was written, but one of its cells fails: {last[:300]}.") from error
        return run(space["network"], batches)


def _notebook(trained: Trained) -> dict[str, Any]:
    """Return the notebook as plain JSON values."""
    cells = [
        _text(
            f"# {_markdown(trained.project.name)}",
            "A neural network that was made with Netloom. This notebook runs without Netloom: "
            "`pip install torch safetensors numpy`, and keep `weights.safetensors` beside it.",
        ),
        _text("## The network", "The source that was trained, unchanged."),
        _code(trained.source),
        _text(
            "## From a file or raw rows to tensors",
            "Reads rows as the training data was read, with the preprocessing that was fitted on it.",
        ),
        *(_code(python(source.package, source.name, standalone=True)) for source in sources()),
        _code(python("netloom.nn", "probability.py")),
        _code(f"preprocess = {_literal(preprocess(trained))}"),
        _text("## The trained weights"),
        _code(
            "from safetensors.torch import load_file\n\n"
            f"network = Main()\nnetwork.load_state_dict({LOADS})\nnetwork.eval()"
        ),
        _text(
            "## Predict",
            "These rows were not used in training. Replace them with your own, or read a CSV or JSON file: `rows = "
            "read_rows(open(name, 'rb').read(), name, preprocess).rows`.",
        ),
        _code(_prediction()),
        _code(f"rows = {_literal(rows(trained, EXAMPLES))}"),
        _code("for answer in predict(network, preprocess, rows):\n    print(answer)"),
    ]
    for number, cell in enumerate(cells, 1):
        cell["id"] = f"cell-{number}"
    return {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _text(*paragraphs: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": "", "metadata": {}, "source": _lines("\n\n".join(paragraphs))}


def _code(text: str) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": "code", "execution_count": None, "id": "", "metadata": {}, "outputs": []}
    return {**cell, "source": _lines(text.strip("\n"))}


def _lines(text: str) -> list[str]:
    # `splitlines` would also split at characters such as U+2028, which do not end a line of Python.
    return [f"{line}\n" for line in text.split("\n")[:-1]] + text.split("\n")[-1:]


def _literal(value: Any) -> str:
    """Return plain JSON values as a Python literal.

    The detour through JSON ensures that the code consists of such values only.
    """
    return pformat(json.loads(json.dumps(value, allow_nan=False)), width=WIDTH, compact=True, sort_dicts=False)


def _markdown(text: str) -> str:
    """Escape user text as one line of Markdown."""
    from netloom.compile.source import comment

    return "".join(f"\\{letter}" if letter in "\\`*_{}[]()<>#+-.!|~$:&" else letter for letter in comment(text))


def _prediction() -> str:
    """Return the functions of predict.py that turn rows into answers."""
    text = python("netloom.export", "predict.py")
    parts = ["from itertools import zip_longest\nfrom typing import Any\n\nimport torch\n"]
    for node in ast.parse(text).body:
        targets = node.targets if isinstance(node, ast.Assign) else [node]
        if any(getattr(target, "id", getattr(target, "name", "")) in PREDICTION for target in targets):
            parts.append(ast.get_source_segment(text, node) or "")
    return "\n".join(part if "\n" not in part else f"\n{part}\n" for part in parts)
