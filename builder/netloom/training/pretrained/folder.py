"""Folders with a config.json and safetensors files, a single one or several with an index."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netloom.compile.importers import UnreadableModelError
from netloom.core.plain_json import JsonObject
from netloom.core.text import plain
from netloom.store import StoreError, weights

if TYPE_CHECKING:
    import torch

CONFIG, SINGLE_FILE, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
PROCESSOR = "preprocessor_config.json"
_MAX_JSON = 20 * 2**20
# The names of layer norm weights in the first models that were converted from TensorFlow.
_OLD = {".gamma": ".weight", ".beta": ".bias"}


@dataclass(frozen=True)
class Folder:
    """`config` is the content of config.json; `shapes` and `files` are those of each tensor by its name."""

    path: Path
    config: dict[str, Any]
    shapes: dict[str, tuple[int, ...]]
    files: dict[str, Path] = field(repr=False)
    _stored_names: dict[str, str] = field(repr=False)  # the names in the files, by their current names

    def tensor(self, name: str) -> torch.Tensor:
        """Return a tensor as float32.

        Raises:
            UnreadableModelError: its file is damaged.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.files[name], framework="pt") as opened:
                tensor: torch.Tensor = opened.get_tensor(self._stored_names[name]).float()
        except (SafetensorError, OSError) as error:
            raise UnreadableModelError(f"{self.files[name].name} cannot be read: {str(error)[:200]}.") from None
        return tensor

    def processor(self) -> JsonObject | None:
        """Return the image preprocessing; None if the folder does not define it.

        Raises:
            UnreadableModelError: the file is damaged.
        """
        return read_json(self.path, PROCESSOR) if (self.path / PROCESSOR).is_file() else None


def is_folder(path: str | Path) -> bool:
    """Return whether this is a Hugging Face folder."""
    return (Path(path) / CONFIG).is_file()


def open_folder(path: str | Path) -> Folder:
    """Read the configuration and the names of the tensors, but no tensor.

    Raises:
        UnreadableModelError: a file is missing or damaged, or the format of the weights can contain code.
    """
    folder = Path(path)
    config = read_json(folder, CONFIG)
    shapes: dict[str, tuple[int, ...]] = {}
    files: dict[str, Path] = {}
    stored_names: dict[str, str] = {}
    for file in _parts(folder):
        try:
            shapes_of_file = weights.shapes(file)
        except (StoreError, OSError) as error:
            raise UnreadableModelError(f"{file.name}: {error}") from None
        for name, shape in shapes_of_file.items():
            called = name
            for old, new in _OLD.items():
                called = called.removesuffix(old) + new if called.endswith(old) else called
            shapes[called], files[called], stored_names[called] = shape, file, name
    return Folder(folder, config, shapes, files, stored_names)


def _parts(folder: Path) -> list[Path]:
    if (folder / SINGLE_FILE).is_file():
        return [folder / SINGLE_FILE]
    if (folder / INDEX).is_file():
        names = read_json(folder, INDEX).get("weight_map")
        if not isinstance(names, dict) or not names:
            raise UnreadableModelError(f"{INDEX} names no files in its weight_map.")
        parts = sorted({str(name) for name in names.values()})
        for name in parts:
            # A name from a file must not lead out of the folder.
            if Path(name).name != name or not name.endswith(".safetensors"):
                raise UnreadableModelError(
                    f"{INDEX} names {plain(name)[:100]!r}, which is not a safetensors file of this folder."
                )
            if not (folder / name).is_file():
                raise UnreadableModelError(f"{name[:100]} is missing, but {INDEX} lists it; download the folder again.")
        return [folder / name for name in parts]
    unsafe_files = [*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.pth"), *folder.glob("*.h5")]
    if unsafe_files:
        raise UnreadableModelError(
            f"The weights are in {plain(unsafe_files[0].name)[:100]}, which can contain code, so it is not opened. "
            "Save them as safetensors: model.save_pretrained(folder, safe_serialization=True)."
        )
    raise UnreadableModelError(
        f"There are no weights in {plain(str(folder))[:200]}: neither {SINGLE_FILE} nor {INDEX} is there."
    )


def read_json(folder: Path, name: str) -> JsonObject:
    """Return the object in a JSON file of a folder.

    Raises:
        UnreadableModelError: the file is missing, damaged or too large.
    """
    try:
        if (folder / name).stat().st_size > _MAX_JSON:
            raise UnreadableModelError(f"{name} has more than {_MAX_JSON // 2**20} MiB, the limit for such a file.")
        content = json.loads((folder / name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UnreadableModelError(f"There is no {name} in {plain(str(folder))[:200]}.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UnreadableModelError(f"{name} cannot be read ({type(error).__name__}).") from None
    if not isinstance(content, dict):
        raise UnreadableModelError(f"{name} does not contain a JSON object.")
    return content
