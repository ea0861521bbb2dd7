"""Serialization of documents: canonical text, JSON values and files."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from netloom.core.errors import UsageError
from netloom.core.field_errors import FieldError, field_errors, summary
from netloom.core.plain_json import JsonObject
from netloom.core.text import no_json
from netloom.document.data_choice import DataChoice
from netloom.document.initialization import Initialization
from netloom.document.network import Edge, Network, Node, Note
from netloom.document.project import FORMAT, Project
from netloom.document.training_settings import Training, written

MAX_BYTES = 20 * 2**20
# Upper bound of the ratio of the indented text to JSON without spaces; lines are indented by at most 70
INDENTED = 40


class DocumentError(ValueError):
    """A document that cannot be read; the message is one sentence for users. `errors` lists the invalid fields.

    `is_newer`: whether it has a format that a newer version of Netloom writes, so that it is not damaged.
    """

    def __init__(self, message: str, errors: tuple[FieldError, ...] = (), is_newer: bool = False) -> None:
        super().__init__(message, errors)
        self.errors, self.is_newer = errors, is_newer

    def __str__(self) -> str:
        return str(self.args[0])


class DocumentPathError(DocumentError, UsageError):
    """The file of a document is missing or cannot be opened."""

    def __init__(self, message: str, path: str | Path) -> None:
        super().__init__(message)
        self.path = path


def to_json(project: Project) -> JsonObject:
    """The document as plain JSON values. The id of a node is stored only once, as its key.

    Fields that were added to the format later are omitted while they have their default, so that older documents keep
    their bytes.
    """
    value = project.model_dump(mode="json", exclude={"networks"})
    value["networks"] = {name: network_json(network) for name, network in project.networks.items()}
    value["data"], value["training"] = data_json(project.data), training_json(project.training)
    return {name: value[name] for name in Project.model_fields}


def network_json(network: Network) -> dict[str, Any]:
    """A network as plain JSON values."""
    value = network_head(network)
    value["nodes"] = {key: node_json(node) for key, node in network.nodes.items()}
    value["edges"] = [edge.model_dump(mode="json") for edge in network.edges]
    value["notes"] = {key: note_json(note) for key, note in network.notes.items()}
    return {name: value[name] for name in Network.model_fields if name in value}


def network_head(network: Network) -> dict[str, Any]:
    """A network as plain JSON values, without its nodes, edges and notes."""
    ordered = network.ordered()
    value: dict[str, Any] = network.model_dump(mode="json", exclude={"nodes", "edges", "notes", "inputs", "outputs"})
    value |= {key: list(order) for key in ("inputs", "outputs") if (order := getattr(ordered, key))}
    return _with_short_initialization(value, network.initialization)


def node_json(node: Node) -> dict[str, Any]:
    """A node as plain JSON values, without its id."""
    return _with_short_initialization(node.model_dump(mode="json", exclude={"id"}), node.initialization)


def note_json(note: Note) -> dict[str, Any]:
    """A note as plain JSON values."""
    return note.model_dump(mode="json", exclude=None if note.folded else {"folded"})


def data_json(data: DataChoice) -> dict[str, Any]:
    """The choice of data as plain JSON values."""
    value: dict[str, Any] = data.model_dump(mode="json")
    for key in ("validation_of", "split", "folds", "fold", "gap", "duplicates", "prepare"):
        if value[key] == DataChoice.model_fields[key].default:
            del value[key]
    return value


def training_json(training: Training) -> dict[str, Any]:
    """The training section as plain JSON values."""
    return written(training.model_dump(mode="json"))


def _with_short_initialization(value: dict[str, Any], initialization: Initialization | None) -> dict[str, Any]:
    """Omit the initialization of a node or network in JSON if there is none, and its defaults otherwise."""
    del value["initialization"]
    if initialization is not None:
        value["initialization"] = initialization.to_json()
    return value


def dumps(project: Project) -> str:
    """The canonical text of a document: equal documents give equal bytes."""
    return json.dumps(to_json(project), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def compact(value: Project | JsonObject) -> str:
    """The document as JSON without spaces; equal documents give equal text. Half the time of `dumps` or less."""
    plain = to_json(value) if isinstance(value, Project) else value
    return json.dumps(plain, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def storage_problem(project: Project, before: Project | None = None, text: str | None = None) -> str:
    """Why a document cannot be stored, such as its size; empty if it can be.

    A document that was too large `before` an edit is accepted as long as it does not grow, so that it can be edited
    and shrunk in steps. `text` is the compact text of the document, if it is known.
    """
    try:
        if len((compact(project) if text is None else text).encode()) * INDENTED <= MAX_BYTES:
            return ""  # true for most documents, and takes a fraction of the time of `dumps`
        size = len(dumps(project).encode())
    except ValueError:  # a lone surrogate, which UTF-8 cannot encode
        return (
            "This document contains an incomplete character (a lone surrogate), which cannot be stored; type it again."
        )
    if size <= MAX_BYTES or (before is not None and size <= len(dumps(before).encode())):
        return ""
    return (
        f"The document would have {size:,} bytes, but at most {MAX_BYTES:,} are allowed. Shorten or remove notes, "
        "comments and layers."
    )


def checked(project: Project) -> str:
    """The canonical text of a document, after reading it back as a check.

    Raises:
        DocumentError: The text could not be read again; the message says why.
    """
    if sentence := storage_problem(project):
        raise DocumentError(sentence)
    text = dumps(project)
    loads(text)
    return text


def loads(text: str | bytes, limit: int | None = MAX_BYTES) -> Project:
    """Read a document of at most `limit` bytes; None accepts any size, for text that Netloom wrote itself.

    Raises:
        DocumentError: The document is invalid; the message says what is wrong and where.
    """
    # surrogatepass, because lone surrogates are reported below, with their own message
    size = len(text) if isinstance(text, bytes) else len(text.encode(errors="surrogatepass"))
    if limit is not None and size > limit:
        raise DocumentError(f"This document has {size:,} bytes, but at most {limit:,} are allowed.")
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        raise DocumentError("This file is not UTF-8 text, so it is not a Netloom document.") from None
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"This is not valid JSON: {no_json(error)}.") from None
    return parse(value)


def parse(value: Any) -> Project:
    """A document from plain JSON values.

    Raises:
        DocumentError: The document is invalid; the message says what is wrong and where.
    """
    if not isinstance(value, dict):
        raise DocumentError("A Netloom document must be a JSON object with the keys name and networks.")
    version = value.get("format", FORMAT)
    if isinstance(version, int) and version > FORMAT:
        raise DocumentError(
            f"This document has the format {version} of a newer version of Netloom; this version supports up to "
            f"{FORMAT}. Update Netloom to open it.",
            is_newer=True,
        )
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise DocumentError("This document contains invalid characters (lone surrogates).") from None
    except (RecursionError, TypeError, ValueError):
        raise DocumentError("This document contains values that are not valid JSON.") from None
    # A document may name its JSON Schema, for editors.
    value = {key: part for key, part in value.items() if key != "$schema"}
    try:
        return Project.model_validate(value)
    except ValidationError as error:
        errors = wrong_fields(error)
        raise DocumentError(summary(errors, "the document"), errors) from None
    except (RecursionError, ValueError) as error:
        raise DocumentError(f"This document cannot be read: {_short(str(error))}.") from None


def read(path: str | Path) -> Project:
    """Read a document from a file.

    Raises:
        DocumentPathError: The file is missing or cannot be read.
        DocumentError: The file is not a document.
    """
    try:
        with Path(path).open("rb") as file:
            # One byte more than allowed tells a file that is too large without reading all of it.
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL character
        raise DocumentPathError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.", path) from None
    if len(content) > MAX_BYTES:
        raise DocumentError(f"{path} has more than {MAX_BYTES:,} bytes, the limit for a Netloom document.")
    return loads(content)


def write(path: str | Path, project: Project) -> None:
    """Write a document atomically: a reader sees the old file or the new one, never a part.

    Raises:
        DocumentError: The document could not be read again; nothing is written.
    """
    write_bytes(path, checked(project).encode())


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file atomically: temporary file, fsync, rename."""
    path = Path(path)
    # In the same folder, because a rename is atomic only within one file system.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            # Without fsync, a crash can leave the renamed file empty: data may reach the disk after the rename.
            os.fsync(file.fileno())
        # mkstemp creates files that only their owner can read.
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    # Also for KeyboardInterrupt, so that no temporary file is left behind
    except BaseException:
        os.unlink(temporary)
        raise


# The classes that are validated separately and their names in messages, by the title in pydantic's errors.
_PARTS: dict[str, tuple[type[BaseModel], str]] = {
    "Project": (Project, "the document"),
    "Network": (Network, "a network"),
    "Node": (Node, "a layer"),
    "Edge": (Edge, "an edge"),
    "Note": (Note, "a note"),
    "DataChoice": (DataChoice, "the data settings"),
    "Training": (Training, "the training settings"),
}


def wrong_fields(error: ValidationError, noun: str = "field") -> tuple[FieldError, ...]:
    """The invalid fields of a document, or of a part of it; messages call a field `noun`."""
    declaration, owner = _PARTS.get(error.title, (BaseModel, "the value"))
    return field_errors(error, declaration, noun, owner)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a valid JSON number")


def _short(text: str, length: int = 120) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
