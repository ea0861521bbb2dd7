"""A request as routes see it, and their replies. The body has arrived completely, and is within its limit."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json, to_json

from netloom.core.plain_json import JsonObject
from netloom.serving.errors import RequestError

JSON = "application/json"


@dataclass
class Call:
    """A request. The last attributes are set by the route, for the log and the metrics.

    Attributes:
        headers: by name in lower case.
        params: the parts of the path, such as the name of a model.
        key: the name of the API key, or "".
        version: the name and version of the model that answered.
        rows: the number of rows.
        is_cached: whether the answer came from the cache.
        logged: what the request log takes of each row.
        started: when the request arrived, by `time.perf_counter`.
        details: further values for the log.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    client: str
    request_id: str
    key: str = ""
    body: bytes = b""
    params: Mapping[str, str] = field(default_factory=dict)
    route: str = ""
    version: str = ""
    rows: int = 0
    is_cached: bool = False
    logged: tuple[bytes, ...] = ()
    started: float = field(default_factory=time.perf_counter)
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def content_type(self) -> str:
        """The media type of the body in lower case, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def json(self, *, allow_nan: bool = False) -> Any:
        """Return the body as JSON. Rows `allow_nan`, which Python writes for missing numbers.

        Raises:
            RequestError: it is not JSON.
        """
        return read_json(self.body, allow_nan=allow_nan)

    def json_object(self, *known_keys: str, allow_nan: bool = False) -> JsonObject:
        """Return the body as a JSON object, as `json`. Any keys are allowed unless `known_keys` are given.

        Raises:
            RequestError: it is not one, or has an unknown key.
        """
        value = self.json(allow_nan=allow_nan)
        if not isinstance(value, dict):
            raise RequestError(f"The body must be a JSON object, received {kind_of(value)}.")
        unknown = next((key for key in value if known_keys and key not in known_keys), None)
        if unknown is not None:
            raise RequestError(f"The body has an unknown key {unknown[:40]!r}; choose from {', '.join(known_keys)}.")
        return value


@dataclass(frozen=True)
class Reply:
    """A response."""

    body: bytes
    status: int = 200
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


def json_reply(value: Any, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """Return a value as JSON; NaN and infinity, which JSON lacks, become null."""
    return Reply(to_json(value, inf_nan_mode="null"), status, headers=headers)


def read_json(body: bytes, *, allow_nan: bool = False) -> Any:
    """Return JSON text as a value, also with NaN and infinity if they are allowed.

    Raises:
        RequestError: it is not JSON.
    """
    try:
        return from_json(body, allow_inf_nan=allow_nan)
    except ValueError as error:
        raise RequestError(f"The body is not valid JSON: {str(error)[:150]}.") from None


def kind_of(value: Any) -> str:
    """Return the JSON type of a value, for messages."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
