"""The source of `netloom.nn` as text is that of the imported modules."""

from __future__ import annotations

import inspect

import netloom.nn
from netloom.layers.nn_source import public_names, source_of


def test_text_is_the_source_of_each_public_name() -> None:
    assert public_names() == set(netloom.nn.__all__)
    for name in public_names():
        assert source_of(name) == inspect.getsource(getattr(netloom.nn, name)).rstrip(), name
