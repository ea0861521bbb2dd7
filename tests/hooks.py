"""Records hooks on modules and tensors, to check that none of them is left behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from torch.utils.hooks import RemovableHandle


@contextmanager
def hooks_set() -> Iterator[list[RemovableHandle]]:
    """The handles of all hooks that are registered in the context."""
    handles: list[RemovableHandle] = []
    original_init = RemovableHandle.__init__

    def recording_init(handle: RemovableHandle, *arguments: Any, **keywords: Any) -> None:
        original_init(handle, *arguments, **keywords)
        handles.append(handle)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RemovableHandle, "__init__", recording_init)
        yield handles


def left(hooks: list[RemovableHandle]) -> list[RemovableHandle]:
    """The hooks that are still registered on a live module or tensor."""
    return [hook for hook in hooks if hook.id in (hook.hooks_dict_ref() or ())]
