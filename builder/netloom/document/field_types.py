"""The types of fields of a document: ids, references to ports, positions and plain JSON of a bounded size."""

from __future__ import annotations

import json
import keyword
import math
import re
from typing import Annotated

from pydantic import AfterValidator, Field, JsonValue

MAX_PORT_LENGTH = 32
MAX_PARAMS_BYTES = 65_536
# JSON is written and read recursively: this depth fits on the stack of a page with a wide margin.
MAX_PARAMS_DEPTH = 64
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,63}")
_PORT = re.compile(rf"[a-z][a-z0-9_]{{0,{MAX_PORT_LENGTH - 1}}}")
# Names that the generated class needs for itself or inherits from torch.nn.Module.
RESERVED = frozenset(
    """
    add_module apply bfloat16 buffers call_super_init children compile cpu cuda double dump_patches eval
    extra_repr float forward functional get_buffer get_extra_state get_parameter get_submodule half ipu
    load_state_dict math modules mtia named_buffers named_children named_modules named_parameters nn
    parameters register_backward_hook register_buffer register_forward_hook register_forward_pre_hook
    register_full_backward_hook register_full_backward_pre_hook register_load_state_dict_post_hook
    register_load_state_dict_pre_hook register_module register_parameter register_state_dict_post_hook
    register_state_dict_pre_hook requires_grad_ self set_extra_state set_submodule share_memory state_dict
    super to to_empty torch train training type xpu zero_grad
    """.split()
)


def is_identifier(name: str) -> bool:
    """Whether `name` is a valid node id: a lowercase Python name that the generated class does not use."""
    return bool(_IDENTIFIER.fullmatch(name)) and not keyword.iskeyword(name) and name not in RESERVED


def misnamed(name: str, rule: str) -> str:
    """The message for a name that is not an identifier: the `rule` for names, or that this name is reserved."""
    if not _IDENTIFIER.fullmatch(name):
        return rule
    return f"{name} is reserved by Python or PyTorch; choose another name, such as {name[:60]}_1."


def _identifier(name: str) -> str:
    if not is_identifier(name):
        raise ValueError("an id must be a lowercase Python name of at most 64 letters, digits and _, such as conv2d_1")
    return name


def _reference(text: str) -> str:
    node, _, port = text.partition(".")
    _identifier(node)
    if "." in text and not _PORT.fullmatch(port):
        raise ValueError("the name of a port must be lowercase, such as out")
    return text


def _finite(value: float) -> float:
    if not math.isfinite(value) or abs(value) > 1e7:
        raise ValueError("a position on the canvas must be a finite number of pixels")
    return value


def _plain(params: dict[str, JsonValue]) -> dict[str, JsonValue]:
    try:
        size = len(json.dumps(params, allow_nan=False))
    except ValueError:
        raise ValueError("NaN and infinity are not allowed in a document") from None
    if size > MAX_PARAMS_BYTES:
        raise ValueError(f"the parameters of a layer can have at most {MAX_PARAMS_BYTES:,} bytes")
    # Each level takes at least two characters, so that most parameters need no search.
    if size > 2 * MAX_PARAMS_DEPTH and _is_deep(params):
        raise ValueError(f"the parameters of a layer can be nested at most {MAX_PARAMS_DEPTH} levels deep")
    return params


def _is_deep(value: JsonValue) -> bool:
    """Whether lists and objects are nested more deeply than allowed.

    Level by level instead of recursively, because the value may be nested more deeply than Python's stack.
    """
    level: list[JsonValue] = [value]
    for _ in range(MAX_PARAMS_DEPTH):
        inside = (part for part in level if isinstance(part, (dict, list)))
        level = [inner for part in inside for inner in (part.values() if isinstance(part, dict) else part)]
    return any(isinstance(part, (dict, list)) for part in level)


Identifier = Annotated[str, AfterValidator(_identifier)]
Reference = Annotated[str, AfterValidator(_reference)]
Pixels = Annotated[float, AfterValidator(_finite)]
# Validation is strict, but JSON has no tuples: `strict=False` accepts a list for a tuple, here and below.
Position = Annotated[tuple[Pixels, Pixels], Field(strict=False)]
Params = Annotated[dict[str, JsonValue], AfterValidator(_plain)]
Title = Annotated[str, Field(max_length=200)]
Value = Annotated[int, Field(ge=-(10**9), le=10**9)] | Annotated[float, Field(ge=-1e9, le=1e9)]
