"""The bundle: source, weights and a script that predicts, in one zip."""

from __future__ import annotations

import io
import json
import zipfile
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from builder.export.base import Format, Trained
from builder.graph import dumps

if TYPE_CHECKING:
    from torch import nn

# Zip knows no earlier time; one that never changes makes equal networks equal files.
TIMESTAMP = (1980, 1, 1, 0, 0, 0)


class Bundle(Format):
    """The very source that was trained, its weights, and a script that needs torch, safetensors and numpy alone."""

    name = "bundle"
    title = "Python bundle"
    summary = "PyTorch source, weights and a script that loads both and predicts, in one zip; runs without Netloom"
    suffix = ".zip"
    media_type = "application/zip"

    def content(self, trained: Trained) -> bytes:
        example = _plain(trained.data.row(int(trained.data.split["test"][0])))
        preprocess = {**trained.data.preprocess, "arguments": trained.fields}
        return _zip(
            {
                "README.md": _readme(trained, example).encode(),
                "encode.py": _python("builder.data", "encode.py").encode(),
                "example.json": _json(example),
                "model.py": trained.source.encode(),
                "predict.py": _python("builder.export", "predict.py").encode(),
                "preprocess.json": _json(preprocess),
                "project.json": dumps(trained.project).encode(),
                "weights.safetensors": weights(trained.model),
            }
        )


def weights(model: nn.Module) -> bytes:
    """The state of a network as the bytes of a safetensors file."""
    from safetensors.torch import save

    return save({name: value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()})


def _zip(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, TIMESTAMP)
            info.compress_type, info.create_system, info.external_attr = zipfile.ZIP_DEFLATED, 3, 0o644 << 16
            archive.writestr(info, content)
    return buffer.getvalue()


def _python(package: str, name: str) -> str:
    """A source file of Netloom's own, without the remarks that its type checker needs here."""
    text = files(package).joinpath(name).read_text(encoding="utf-8")
    return "".join(line.partition("  # type: ignore")[0].rstrip() + "\n" for line in text.splitlines())


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _readme(trained: Trained, example: dict[str, Any]) -> str:
    from builder.compile.source import comment

    title = comment(trained.project.name).replace("<", "&lt;") or "A network"
    columns = ", ".join(f"`{comment(name).replace('`', '')}`" for name in list(example)[:12])
    more = f" and {len(example) - 12} more" if len(example) > 12 else ""
    return f"""# {title}

A neural network that was made with Netloom. It runs without Netloom, on Python 3.11 or later:

    pip install torch safetensors numpy
    python predict.py                # answers example.json
    python predict.py rows.json      # one row, or a list of rows
    python predict.py rows.csv       # a header, then one row a line

A row has {columns}{more}, as in `example.json`. {_answer(trained)}

| file | what it is |
|---|---|
| `model.py` | the network as PyTorch source, exactly as it was trained |
| `weights.safetensors` | its trained weights |
| `encode.py`, `preprocess.json` | from raw rows to tensors, with what was fitted on the training data |
| `predict.py` | loads these and predicts; import `load` and `predict` from it to use them in code of your own |
| `example.json` | a row that the network was not trained on |
| `project.json` | the project, to be opened in Netloom again |

Made and checked with {_versions()}.
"""


def _answer(trained: Trained) -> str:
    kind = trained.data.preprocess["target"]
    if kind["kind"] == "class":
        return f"The answer is one of {len(kind['classes'])} classes, with the probability of each."
    if kind["kind"] == "number":
        return "The answer is a number in the units of the data."
    return "The answer is the likeliest next token, with the probabilities of the five likeliest."


def _versions() -> str:
    from importlib.metadata import version

    return ", ".join(f"{name} {version(name).partition('+')[0]}" for name in ("torch", "safetensors", "numpy"))
