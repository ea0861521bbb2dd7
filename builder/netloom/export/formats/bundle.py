"""The bundle: source, weights and a script that predicts, in one zip."""

from __future__ import annotations

import io
import zipfile
from pathlib import PurePath
from typing import Any

from netloom.document import dumps
from netloom.export.archive import ENCODING, as_json, pack, preprocess, python, rows, weights
from netloom.export.format import Batch, Format, Trained
from netloom.export.gan_generator import whole
from netloom.export.verification import run
from netloom.validation.output_scales import scales


class Bundle(Format):
    """The very source that was trained, its weights, and a script that needs torch, safetensors and numpy alone."""

    name = "bundle"
    title = "Python bundle"
    summary = "PyTorch source, weights and a script that loads both and predicts, in one zip; runs without Netloom"
    suffix = ".zip"
    media_type = "application/zip"
    tolerance = 1e-5

    def content(self, trained: Trained) -> bytes:
        (example,) = rows(trained, 1)
        members = {
            "README.md": _readme(trained, example).encode(),
            **{PurePath(path).name: python("netloom.data", path).encode() for path in ENCODING},
            "example.json": as_json(example),
            "model.py": trained.source.encode(),
            "predict.py": python("netloom.export", "predict.py").encode(),
            "preprocess.json": as_json(preprocess(trained)),
            "probability.py": python("netloom.nn", "probability.py").encode(),
            "project.json": dumps(whole(trained)).encode(),
            "weights.safetensors": weights(trained.model),
        }
        return pack(dict(sorted(members.items())))

    def answers(self, content: bytes, batches: list[Batch]) -> list[Batch]:
        from safetensors.torch import load

        from netloom.compile import module

        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            network = module(archive.read("model.py").decode())
            network.load_state_dict(load(archive.read("weights.safetensors")))
        return run(network.eval(), batches)


def _readme(trained: Trained, example: dict[str, Any]) -> str:
    from netloom.compile.source import comment

    title = comment(trained.project.name).replace("<", "&lt;") or "A network"
    columns = ", ".join(f"`{comment(name).replace('`', '')}`" for name in list(example)[:12])
    more = f" and {len(example) - 12} more" if len(example) > 12 else ""
    return f"""# {title}

A neural network that was made with Netloom. It runs without Netloom, on Python 3.11 or later:

    pip install torch safetensors numpy
    python predict.py                # answers example.json
    python predict.py rows.json      # one row, or a list of rows
    python predict.py rows.csv       # a header, then one row a line

A row has {columns}{more}, as in `example.json`. {_answer(trained)}{_scale(trained)}

A CSV file is read as Netloom read the training data: with commas, semicolons, tabs or | between the cells, in UTF-8,
UTF-16 or Windows-1252, with decimal points or commas, its columns in any order. An answer says under `unknown` which
categories of its row were not in the training data, and under `unreadable` which cells are taken as missing because
they cannot be read; a summary of both goes to standard error.

| file | what it is |
|---|---|
| `model.py` | the network as PyTorch source, exactly as it was trained |
| `weights.safetensors` | its trained weights |
| `row_file.py`, `dialect.py`, `coercion.py` | from a file to rows, as Netloom reads it |
| `encode.py`, `preprocess.json` | from rows to tensors, with what was fitted on the training data |
| `probability.py` | from what the network gives to logits, where it ends in a softmax or a sigmoid |
| `predict.py` | loads these and predicts; import `load` and `predict` from it to use them in code of your own |
| `example.json` | a row that the network was not trained on |
| `project.json` | the project, to be opened in Netloom again |

Made and checked with {_versions()}.
"""


def _scale(trained: Trained) -> str:
    """What the network itself gives, where that is not logits."""
    known = [how[0].replace("_", "-") for how in scales(trained.project, trained.data.schema) if how]
    return f" The network itself, in `model.py`, gives {' and '.join(dict.fromkeys(known))}." if known else ""


def _answer(trained: Trained) -> str:
    kind = trained.decoding
    if kind["kind"] == "input" and "threshold" in kind:
        return "The answer is whether it is usual or unusual, by how far the network is off when it gives it back."
    if kind["kind"] == "input":
        return "The answer is the row as the network gives it back, and how far that is off."
    if kind["kind"] == "generated":
        return "The answer is the picture that is made of the noise; the discriminator, which only trains, is left out."
    if kind["kind"] == "mask":
        return f"The answer is one of {len(kind['classes'])} classes for each pixel, by its number."
    if kind["kind"] == "class_and_tags":
        return "The answer is a class with its probability, a tag for each word, and the entities that the tags mark."
    if kind["kind"] == "tags":
        given = (
            " A text is a string, which is split into words and punctuation marks, or a list of words as in the data."
            if isinstance(trained.data.row(0).get(trained.data.schema.inputs[0].name), list)
            else ""
        )
        return f"The answer is a tag for each word, and the entities that the tags mark.{given}"
    if kind["kind"] == "sequence":
        begun = trained.data.schema.inputs[-1].name
        return f"The answer is a text, written token by token from the rest of the row; `{begun}` is not read."
    if kind["kind"] == "action":
        told = "the return that the agent expects of each" if kind["values"] else "the probability of each"
        return f"The answer is one of {len(kind['classes'])} actions, with {told}."
    if kind["kind"] == "labels":
        return f"The answer is those of {len(kind['classes'])} labels that apply, with the probability of each."
    if kind["kind"] == "binary":
        return f"The answer is {kind['classes'][0]} or {kind['classes'][1]}, with the probability of each."
    if kind["kind"] == "pair":
        return "The answer is whether both are alike, by how far apart their embeddings lie."
    if kind["kind"] == "embedding":
        return "The answer is an embedding: numbers that are near each other for what is alike."
    if kind["kind"] == "score":
        return "The answer is a score: the higher, the better the item suits the user."
    if kind["kind"] == "several":
        return f"The answer holds one for each of {', '.join(part['name'] for part in kind['parts'])}."
    if kind["kind"] == "class":
        return f"The answer is one of {len(kind['classes'])} classes, with the probability of each."
    if kind["kind"] == "number":
        return "The answer is a number in the units of the data."
    return "The answer is the likeliest next token, with the probabilities of the five likeliest."


def _versions() -> str:
    from importlib.metadata import version

    return ", ".join(f"{name} {version(name).partition('+')[0]}" for name in ("torch", "safetensors", "numpy"))
