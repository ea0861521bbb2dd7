"""Documents as text and as files."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from netloom.core.errors import UsageError
from netloom.core.field_errors import FieldError, field_errors, summary
from netloom.core.text import no_json
from netloom.document.project import FORMAT, DataChoice, Edge, Network, Node, Note, Project
from netloom.document.training_settings import Training, written

MAX_BYTES = 20 * 2**20
# The canonical text has at most so many bytes for one of JSON without spaces: lines are indented by 70 at most.
INDENTED = 40


class DocumentError(ValueError):
    """A document that cannot be read; the message is one sentence for people. `errors` are its wrong fields."""

    def __init__(self, message: str, errors: tuple[FieldError, ...] = ()) -> None:
        super().__init__(message, errors)
        self.errors = errors

    def __str__(self) -> str:
        return str(self.args[0])


class DocumentPathError(DocumentError, UsageError):
    """A document's file that is missing or cannot be opened."""


def to_json(project: Project) -> dict[str, Any]:
    """The document as plain JSON values. A node's id stands once, as its key."""
    value = project.model_dump(mode="json")
    for name, network in value["networks"].items():
        ordered = project.networks[name].ordered()
        for key, order in (("inputs", ordered.inputs), ("outputs", ordered.outputs)):
            network[key] = list(order)
            if not order:
                del network[key]  # documents from before there was another order than the natural keep their bytes
        for node in network["nodes"].values():
            del node["id"]
        for note in network["notes"].values():
            if not note["folded"]:
                del note["folded"]  # documents from before there was this keep their bytes
    value["training"] = written(value["training"])
    for key in ("split", "folds", "fold", "gap", "duplicates", "prepare"):
        if value["data"][key] == DataChoice.model_fields[key].default:
            del value["data"][key]  # documents from before there were these keep their bytes
    return value


def dumps(project: Project) -> str:
    """The canonical text of a document: equal documents give equal bytes."""
    return json.dumps(to_json(project), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def compact(project: Project) -> str:
    """The document without spaces: equal documents give equal text. It takes less than half of the time of `dumps`."""
    return json.dumps(to_json(project), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def storage_problem(project: Project, before: Project | None = None) -> str:
    """Why a document cannot be written and read again, such as its size; empty where it can. One that was too large
    `before` may stay so as long as it does not grow."""
    try:
        if len(project.model_dump_json().encode()) * INDENTED <= MAX_BYTES:
            return ""  # most are, and this takes a tenth of the time
        size = len(dumps(project).encode())
    except ValueError:  # a lone surrogate, which UTF-8 does not have
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
    """The canonical text of a document that can be read again.

    Raises:
        DocumentError: it could not be; the message says why.
    """
    if sentence := storage_problem(project):
        raise DocumentError(sentence)
    text = dumps(project)
    loads(text)
    return text


def loads(text: str | bytes, limit: int | None = MAX_BYTES) -> Project:
    """Read a document of at most `limit` bytes; of any size where that is None, as where it was written before.

    Raises:
        DocumentError: one sentence that says what is wrong and where.
    """
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
        DocumentError: one sentence that says what is wrong and where.
    """
    if not isinstance(value, dict):
        raise DocumentError("A Netloom document must be a JSON object with the keys name and networks.")
    version = value.get("format", FORMAT)
    if isinstance(version, int) and version > FORMAT:
        raise DocumentError(
            f"This document has the format {version} of a newer version of Netloom; this version "
            f"supports up to {FORMAT}."
        )
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise DocumentError("This document contains invalid characters (lone surrogates).") from None
    except (RecursionError, TypeError, ValueError):
        raise DocumentError("This document contains values that are not valid JSON.") from None
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
        DocumentPathError: the file is missing or cannot be read.
        DocumentError: the file is not a document.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL character
        raise DocumentPathError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    if len(content) > MAX_BYTES:
        raise DocumentError(f"{path} has more than {MAX_BYTES:,} bytes, the limit for a Netloom document.")
    return loads(content)


def write(path: str | Path, project: Project) -> None:
    """Write a document so that a reader finds the old file or the new one, never half of either.

    Raises:
        DocumentError: it could not be read again; nothing is written.
    """
    write_bytes(path, checked(project).encode())


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file by temp + fsync + rename."""
    path = Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


# By the name under which pydantic reports it, each part of a document that is read by itself, and what it is called.
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
    """What pydantic refused of a document, or of a part of one; its fields are called by the `noun`."""
    declaration, owner = _PARTS.get(error.title, (BaseModel, "the value"))
    return field_errors(error, declaration, noun, owner)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a valid JSON number")


def _short(text: str, length: int = 120) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
