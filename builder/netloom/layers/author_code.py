"""Execution of Python code in documents, the only place where it runs, if the machine's owner allows it.

Everything else is built from the catalog, so that a document of an unknown author is safe to open. With
NETLOOM_ALLOW_CODE=1 in the environment, the classes of a document run with all rights of the process; without it, their
text is not executed.
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
# The line of generated source that marks the following code as not from the catalog.
MARK = "# Python code by the author of the project."
_FILE = "<Python code>"


def allowed() -> bool:
    """Whether the owner of this machine allows documents to run Python code."""
    try:
        return settings.allow_code
    except SettingError:  # an invalid value does not grant permission
        return False


def loaded(source: str, name: str) -> type[nn.Module]:
    """Run an author's code and return its class `name`.

    Raises:
        ValueError: Python code is not allowed here, or the code fails; the message contains the line.
    """
    # Checked outside the cache: a class that was loaded while code was allowed must not be returned later.
    if not allowed():
        raise ValueError(REFUSAL)
    return _loaded(source, name)


# Equal source gives the same class, so that the code is executed once per process
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
    # SystemExit is not an Exception, but sys.exit() in the code raises it.
    except (Exception, SystemExit) as error:
        raise ValueError(explained(error)) from None
    module_class = namespace.get(name)
    if not (isinstance(module_class, type) and issubclass(module_class, torch.nn.Module)):
        raise ValueError(f"{name} is not a torch.nn.Module; define it as class {name}(nn.Module):")
    return module_class


def explained(error: BaseException) -> str:
    """The message of an exception raised by an author's code, with the line number in that code."""
    # Frames of Netloom and PyTorch are skipped: only lines that the author wrote help to find the error.
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == _FILE]
    if isinstance(error, SyntaxError):
        lines = [error.lineno]
    if not lines:
        return " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__
    message = " ".join(str(error).split())[:300].rstrip(".")
    return f"line {lines[-1]} of its code: {type(error).__name__}{f': {message}' if message else ''}"
