"""Python code of a document's author: the one place where a document's text may run, where the machine's owner says so.

Everything else in Netloom is made of the catalogue, so that a document of anyone can be opened. With
NETLOOM_ALLOW_CODE=1 in the environment a document's own classes run with all that Python may do; without it they are
text that is neither parsed nor compiled.
"""

from __future__ import annotations

import traceback
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from netloom.core.settings import SettingError, settings, variable

if TYPE_CHECKING:
    from torch import nn

ALLOW = variable("allow_code")
REFUSAL = (
    "Python code layers are disabled on this server, because code in a document can do anything on this machine. "
    f"If the machine is your own and you trust the author of the document, start Netloom with {ALLOW}=1. Otherwise, "
    "build the layer from others with “Define layer in code”."
)
# The line of generated source that says that what follows is not from the catalogue.
MARK = "# Python code by the author of the project."
_FILE = "<Python code>"


def allowed() -> bool:
    """Whether the owner of this machine lets the Python code of documents run."""
    try:
        return settings.allow_code
    except SettingError:  # neither yes nor no is no permission
        return False


def loaded(source: str, name: str) -> type[nn.Module]:
    """The class `name` of an author's code, which this runs.

    Raises:
        ValueError: free Python is off here, or the code fails; the message says in which line.
    """
    if not allowed():
        raise ValueError(REFUSAL)
    return _loaded(source, name)


@lru_cache(maxsize=256)
def _loaded(source: str, name: str) -> type[nn.Module]:
    import math

    import torch
    from torch.nn import functional

    namespace: dict[str, Any] = {
        "torch": torch,
        "nn": torch.nn,
        "F": functional,
        "math": math,
        "__name__": "netloom_code",
    }
    try:
        exec(compile(source, _FILE, "exec"), namespace)
    except (Exception, SystemExit) as error:
        raise ValueError(explained(error)) from None
    module_class = namespace.get(name)
    if not (isinstance(module_class, type) and issubclass(module_class, torch.nn.Module)):
        raise ValueError(f"{name} is not a torch.nn.Module; define it as class {name}(nn.Module):")
    return module_class


def explained(error: BaseException) -> str:
    """What an author's code raised, and in which of its lines."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == _FILE]
    if isinstance(error, SyntaxError):
        lines = [error.lineno]
    if not lines:
        return " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__
    message = " ".join(str(error).split())[:300].rstrip(".")
    return f"line {lines[-1]} of its code: {type(error).__name__}{f': {message}' if message else ''}"
