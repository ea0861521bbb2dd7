"""Parts that several formats share: weights, example rows and sources as bytes, and reproducible zips."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from graphlib import TopologicalSorter
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.data.preparation.preprocess import Preprocess
from netloom.modalities.encoding.cells import RawRow
from netloom.validation.output_scales import scales

if TYPE_CHECKING:
    from torch import nn

    from netloom.export.format import Trained


def weights(model: nn.Module) -> bytes:
    """Return the state of a network as the bytes of a safetensors file."""
    from safetensors.torch import save

    # safetensors rejects tensors that share memory, such as tied weights, so each is cloned.
    return save({name: value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()})


# An import from a module of Netloom, whose name is group 1, on one line or in parentheses
_NETLOOM_IMPORT = re.compile(
    r"^from netloom\.(?:data|modalities)(?:\.\w+)?\.(\w+) import (?:\([^)]*\)|[^(\n]*)\n", re.MULTILINE
)
_PACKAGE = re.compile(r"netloom\.(?:(?:data|serving)(?:\.\w+(?=\.))?|modalities)\.")
# The package that encodes rows travels as a whole.
_ENCODING, _INIT = "netloom.modalities.encoding", "__init__.py"
# The modules that read files as rows
_ROW_FILES = ("raw_rows.py", "record_reader.py", "row_file.py", "time_steps.py")


def exported_fields(trained: Trained) -> Preprocess:
    """Return the fitted state of the fields that rows of an export need: those that the network reads, so not other
    columns, and no images where it generates them."""
    fitted = trained.data.preprocess
    rebuilt = {fitted.fields[0].name} if trained.decoding["kind"] == "input" else set()
    return fitted.of_fields({*trained.fields, *rebuilt})


def preprocess(trained: Trained) -> dict[str, object]:
    """Return the parameters of the encoders, and the field that each argument of the network reads, as plain JSON."""
    preprocessing: dict[str, object] = {
        **exported_fields(trained).to_json(),
        "target": trained.decoding,
        "arguments": trained.fields,
    }
    # The scale of each output, if some are probabilities or log-probabilities
    if output_scales := scales(trained.project, trained.data.schema):
        preprocessing["scales"] = output_scales
    return preprocessing


def rows(trained: Trained, count: int) -> list[RawRow]:
    """Return the first test rows as plain JSON values."""
    examples = [_plain(trained.data.row(int(row))) for row in trained.data.split["test"][:count]]
    if trained.decoding["kind"] == "generated":
        unread = trained.decoding["field"]["name"]
        return [{name: value for name, value in row.items() if name != unread} for row in examples]
    return examples


def as_json(value: Any) -> bytes:
    """Serialize plain values as a JSON file; NaN, which JSON does not have, raises ValueError."""
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"


@dataclass(frozen=True)
class Source:
    """A module of Netloom that bundles contain: its package and name, and its path in a bundle."""

    package: str
    name: str
    path: str

    @property
    def module(self) -> str:
        """The name by which other modules import it."""
        return self.name.removesuffix(".py")


def sources() -> list[Source]:
    """Return the modules that read files, encode rows and decode outputs, each after those that it imports."""
    names = sorted(file.name for file in files(_ENCODING).iterdir() if file.name.endswith(".py") and file.name != _INIT)
    bundled = [
        *(Source(_ENCODING, name, f"encoding/{name}") for name in names),
        Source("netloom.data.preparation", "box_decoding.py", "box_decoding.py"),
        Source("netloom.data.preparation", "calibrated.py", "calibrated.py"),
        Source("netloom.data.preparation", "decode.py", "decode.py"),
        Source("netloom.data", "dialect.py", "dialect.py"),
        *(Source("netloom.data.tables", name, name) for name in _ROW_FILES),
    ]
    modules = {source.module: source for source in bundled}
    imports = {source.module: _NETLOOM_IMPORT.findall(source_text(source.package, source.name)) for source in bundled}
    return [modules[name] for name in TopologicalSorter(imports).static_order()]


def packages() -> list[Source]:
    """Return the files that make a folder of a bundle a package; notebooks do not need them."""
    return [Source(_ENCODING, _INIT, f"encoding/{_INIT}")]


def python(package: str, name: str, *, standalone: bool = False) -> str:
    """Return a source file of Netloom without comments for the type checker.

    Imports from Netloom become imports of files in the bundle; with `standalone` they are removed, because a notebook
    defines these names in earlier cells.
    """
    text = source_text(package, name)
    text = "".join(line.partition("  # type: ignore")[0].rstrip() + "\n" for line in text.splitlines())
    if standalone:
        return re.sub(r"\n{4,}", "\n\n\n", _NETLOOM_IMPORT.sub("", text))
    return _PACKAGE.sub("", text)


def source_text(package: str, name: str) -> str:
    """Return a file of Netloom as it is."""
    return files(package).joinpath(name).read_text(encoding="utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
