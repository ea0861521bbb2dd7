"""Hooks that are set on modules and tensors, to see that none of them is left behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from torch.utils.hooks import RemovableHandle


@contextmanager
def hooks_set() -> Iterator[list[RemovableHandle]]:
    """The hooks of all kinds that are set meanwhile."""
    made: list[RemovableHandle] = []
    begin = RemovableHandle.__init__

    def noted(handle: RemovableHandle, *given: Any, **named: Any) -> None:
        begin(handle, *given, **named)
        made.append(handle)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RemovableHandle, "__init__", noted)
        yield made


def left(hooks: list[RemovableHandle]) -> list[RemovableHandle]:
    """Those that would still be called, as what they were set on is still there."""
    return [hook for hook in hooks if hook.id in (hook.hooks_dict_ref() or ())]
