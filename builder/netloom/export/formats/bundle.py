"""The bundle: source, weights and a script that predicts, in one zip."""

from __future__ import annotations

import io
import zipfile

from netloom.document import dumps
from netloom.export.archive import as_json, exported_fields, packages, preprocess, python, rows, sources
from netloom.export.bundled_network import ONNX_FILE, bundled_network
from netloom.export.format import Batch, Format, Trained
from netloom.export.formats.onnx import Onnx
from netloom.export.gan_generator import full_project
from netloom.export.predictions import describe
from netloom.export.verification import run
from netloom.export.zip_files import pack
from netloom.modalities.encoding.cells import RawRow
from netloom.modalities.encoding.field_encoder import field_encoder
from netloom.validation.output_scales import scales


class Bundle(Format):
    """The source that was trained, its weights, and a script that needs only torch, safetensors and numpy; or the
    ONNX file of a variant, for which ONNX Runtime takes the place of safetensors."""

    name = "bundle"
    title = "Python bundle"
    summary = "PyTorch source, weights and a script that loads both and predicts, in one zip; runs without Netloom"
    suffix = ".zip"
    media_type = "application/zip"
    tolerance = 1e-5
    is_folder = is_first = contains_onnx = True
    contains = "source, weights, prediction script"

    def content(self, trained: Trained) -> bytes:
        # A fixed order, because equal networks give equal bytes
        return pack(dict(sorted(self.members(trained).items())))

    def members(self, trained: Trained) -> dict[str, bytes]:
        """Return the files of the zip by their paths."""
        (example,) = rows(trained, 1)
        return {
            "README.md": self._readme(trained, example).encode(),
            **{source.path: python(source.package, source.name).encode() for source in (*packages(), *sources())},
            "example.json": as_json(example),
            "predict.py": python("netloom.export", "predict.py").encode(),
            "preprocess.json": as_json(preprocess(trained)),
            "probability.py": python("netloom.nn", "probability.py").encode(),
            "project.json": dumps(full_project(trained)).encode(),
            **bundled_network(trained).files(trained),
        }

    def answers(self, content: bytes, batches: list[Batch]) -> list[Batch]:
        from safetensors.torch import load

        from netloom.compile import module

        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if ONNX_FILE in archive.namelist():
                return Onnx().answers(archive.read(ONNX_FILE), batches)
            network = module(archive.read("model.py").decode())
            network.load_state_dict(load(archive.read("weights.safetensors")))
        return run(network.eval(), batches)

    def usage(self, trained: Trained, example: RawRow) -> str:
        """Return the part of the README that says how to run the files."""
        columns = ", ".join(f"`{_comment(name).replace('`', '')}`" for name in list(example)[:12])
        more = f" and {len(example) - 12} more" if len(example) > 12 else ""
        answer = f"{describe(trained.decoding, trained.data)}{_scale(trained)}"
        return f"""
    pip install {" ".join(bundled_network(trained).packages)}
    python predict.py                # answers example.json
    python predict.py rows.json      # one row, or a list of rows
    python predict.py rows.csv       # a header, then one row a line

A row has {columns}{more}, as in `example.json`.{_steps(trained)} {answer}

A CSV file is read as Netloom read the training data: with commas, semicolons, tabs or | between the cells, in UTF-8,
UTF-16 or Windows-1252, with decimal points or commas, its columns in any order. An answer says under `unknown` which
categories of its row were not in the training data, and under `unreadable` which cells are taken as missing because
they cannot be read; a summary of both goes to standard error.
"""

    def files(self, trained: Trained) -> dict[str, str]:
        """Return the files of the zip with their descriptions, for the README."""
        return {
            **bundled_network(trained).descriptions,
            "`row_file.py`, `dialect.py`": "from a file to rows, as Netloom reads it",
            "`record_reader.py`, `time_steps.py`, `raw_rows.py`": "reads records and time steps of such files",
            "`encoding/`, `preprocess.json`": "from rows to tensors, with what was fitted on the training data",
            "`decode.py`, `box_decoding.py`, `calibrated.py`": "from outputs to answers, calibrated if it applies",
            "`probability.py`": "converts outputs of a softmax or a sigmoid to logits",
            "`predict.py`": "loads these and predicts; import `load` and `predict` from it in code of your own",
            "`example.json`": "a row that the network was not trained on",
            "`project.json`": "the project of the run, to be opened in Netloom again",
        }

    def _readme(self, trained: Trained, example: RawRow) -> str:
        title = _comment(trained.project.name).replace("<", "&lt;") or "A network"
        table = "\n".join(f"| {names} | {text} |" for names, text in self.files(trained).items())
        return f"""# {title}

A neural network that was made with Netloom. It runs without Netloom, on Python 3.11 or later:
{self.usage(trained, example)}
| file | what it is |
|---|---|
{table}

Made and checked with {_versions(trained)}.
"""


def _comment(text: str) -> str:
    from netloom.compile.source import comment

    return comment(text)


def _steps(trained: Trained) -> str:
    """Return a sentence on files of time steps, if the network reads a series; empty otherwise."""
    fields = list(map(field_encoder, exported_fields(trained).fields))
    channels = ", ".join(f"`{_comment(name).replace('`', '')}`" for name in fields[0].step_columns[:12])
    if not channels or len(fields) > 1:
        return ""
    series = _comment(fields[0].series_column).replace("`", "")
    each = f" If it has the column `{series}`, each of its series is a row." if series else ""
    return (
        f" A CSV file with the columns {channels} and one time step per line is a row, too: its last "
        f"{fields[0].shape[0]} steps.{each}"
    )


def _scale(trained: Trained) -> str:
    """Return a sentence on the outputs of `model.py`, if some are not logits; empty otherwise."""
    names = [how[0].replace("_", "-") for how in scales(trained.project, trained.data.schema) if how]
    if not names:
        return ""
    file = bundled_network(trained).main_file
    return f" The network itself, in `{file}`, gives {' and '.join(dict.fromkeys(names))}."


def _versions(trained: Trained) -> str:
    from importlib.metadata import version

    return ", ".join(f"{name} {version(name).partition('+')[0]}" for name in bundled_network(trained).packages)
