"""Datasets and weights from the Hugging Face hub by name, if its libraries are installed.

The library itself refuses datasets that would run code; of weights, only safetensors are downloaded.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

from netloom.core.progress import ProgressCallback
from netloom.core.text import plain
from netloom.data.downloads.address import FetchError, refuse_unless_allowed
from netloom.data.limits import MAX_EXAMPLES, MAX_ROWS

_NAME = re.compile(r"([\w.-]+(?:/[\w.-]+)?)(?::([\w.-]+))?(?:\[([\w.-]+)\])?", re.ASCII)
UNLABELED = "unlabeled"  # the folder of images without a class, which are left out with a note
WEIGHTS = (
    "config.json",
    "preprocessor_config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "model-*.safetensors",
)


def fetch_dataset(name: str, folder: Path, progress: ProgressCallback, *, server: bool) -> Path:
    """Download a dataset into `folder`: a Parquet file, or a folder of images by class.

    `name` is `owner/name`, optionally with `:configuration` and `[split]`; the default split is train.

    Raises:
        FetchError: it is not allowed, does not exist, or has unsupported content.
    """
    refuse_unless_allowed(server=server)
    owner, configuration, part = _parts(name)
    if find_spec("datasets") is None:
        raise FetchError(
            "Datasets of the Hugging Face Hub need the package datasets; install it with pip install -e '.[hub]'."
        )
    progress(0.0, f"Downloading {owner} from the Hub")
    _quiet()
    import datasets

    _quiet()  # again, because the import of the libraries resets their log levels

    try:
        files = datasets.load_dataset(owner, configuration or None, split=part or "train")
    except Exception as error:  # errors of the library, of its HTTP client, and of its many file formats
        raise fetch_error(owner, error) from None
    return keep(files, folder, progress)


def keep(files: Any, folder: Path, progress: ProgressCallback) -> Path:
    """Save a dataset of the hub as a file or folder that is read like an upload.

    Raises:
        FetchError: it is too large, or has unsupported content.
    """
    import datasets

    if len(files) > MAX_ROWS:
        raise FetchError(f"The dataset has {len(files):,} rows; at most {MAX_ROWS:,} can be downloaded from the Hub.")
    kinds = files.features
    pictures = [name for name, kind in kinds.items() if isinstance(kind, datasets.Image)]
    classes = [name for name, kind in kinds.items() if isinstance(kind, datasets.ClassLabel)]
    if pictures:
        if len(classes) != 1:
            raise FetchError(
                f"Images of the Hub need exactly one column of classes; this dataset has {len(classes) or 'none'}."
            )
        return _by_class(files, pictures[0], classes[0], folder, progress)
    for name in classes:
        kind = kinds[name]
        names = [None if number is None or number < 0 else kind.int2str(number) for number in files[name]]
        files = files.remove_columns(name).add_column(name, names)
    path = folder / "data.parquet"
    progress(0.5, "Saving its rows")
    files.to_parquet(str(path))
    return path


def _by_class(by_class: Any, picture: str, label: str, folder: Path, progress: ProgressCallback) -> Path:
    import datasets

    if len(by_class) > MAX_EXAMPLES:
        raise FetchError(
            f"The dataset has {len(by_class):,} images; at most {MAX_EXAMPLES:,} can be downloaded from the Hub."
        )
    folders, target = class_folders(by_class.features[label].names), folder / "pictures"
    by_class = by_class.cast_column(picture, datasets.Image(decode=False))
    for number, row in enumerate(by_class):
        class_number = row[label]
        is_labeled = class_number is not None and class_number >= 0
        class_folder = target / (folders[class_number] if is_labeled else UNLABELED)
        class_folder.mkdir(parents=True, exist_ok=True)
        content = row[picture]["bytes"]
        if content is None:
            raise FetchError("The images of this dataset are links to other servers, which are not followed.")
        (class_folder / f"{number:06}").with_suffix(".img").write_bytes(content)
        if number % 500 == 0:
            progress(number / len(by_class), "Saving its images")
    return target


def class_folders(names: Sequence[str]) -> list[str]:
    """Return the name of a folder for each class: different ones also for names such as C+ and C#."""
    folders: list[str] = []
    taken = {UNLABELED}  # in lower case, as some file systems ignore case
    for name in names:
        plain_name = re.sub(r"[^\w .-]", "_", name).strip(". ") or "class"
        folder = next(item for item in _numbered(plain_name) if item.lower() not in taken)
        folders.append(folder)
        taken.add(folder.lower())
    return folders


def _numbered(name: str) -> Iterator[str]:
    """Yield a name, and then the name with a number: C_, C_ 2, C_ 3, …"""
    yield name
    yield from (f"{name} {number}" for number in count(2))


def fetch_model(name: str, folder: Path, progress: ProgressCallback, *, server: bool) -> Path:
    """Download the configuration and the weights of a network into `folder`.

    Raises:
        FetchError: it is not allowed, does not exist, or has no safetensors.
    """
    refuse_unless_allowed(server=server)
    owner, _, _ = _parts(name)
    if find_spec("huggingface_hub") is None:
        raise FetchError(
            "Models of the Hugging Face Hub need the package huggingface_hub; install it with pip install -e '.[hub]'."
        )
    progress(0.0, f"Downloading {owner} from the Hub")
    _quiet()
    from huggingface_hub import snapshot_download

    _quiet()

    target = folder / owner.rpartition("/")[2]
    try:
        snapshot_download(owner, allow_patterns=list(WEIGHTS), local_dir=target)
    except Exception as error:  # errors of the library and of its HTTP client
        raise fetch_error(owner, error) from None
    return target


def _quiet() -> None:
    """Turn off the output of the libraries, as errors are reported here. They read this when they are first
    imported."""
    for bars in ("HF_DATASETS_DISABLE_PROGRESS_BARS", "HF_HUB_DISABLE_PROGRESS_BARS"):
        os.environ.setdefault(bars, "1")
    for name in ("huggingface_hub", "datasets"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _parts(name: str) -> tuple[str, str, str]:
    match = _NAME.fullmatch(name)
    if match is None or ".." in name:
        raise FetchError(
            f"{plain(name)[:100]!r} is not a name of the Hub; write hf:owner/name, optionally followed by "
            ":configuration or [split]."
        )
    owner, configuration, part = match.groups()
    return owner, configuration or "", part or ""


def fetch_error(name: str, error: Exception) -> FetchError:
    lines = str(error).strip().splitlines()
    why = plain(lines[0] if lines else type(error).__name__)[:200].rstrip(".")
    network = isinstance(error, OSError | ConnectionError) or "onnect" in type(error).__name__ + why
    if network:
        return FetchError(
            f"The Hugging Face Hub cannot be reached, so {name} was not downloaded. Check the network connection and "
            "the name, or download the files elsewhere and add them."
        )
    return FetchError(f"The Hugging Face Hub did not return {name} ({why}).")
