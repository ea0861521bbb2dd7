"""Texts that were written for Netloom."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

import numpy as np
from pydantic import Field

from netloom.data.builtin_registry import Dataset
from netloom.data.raw.texts import Characters, Texts
from netloom.data.raw_dataset import RawDataset


@cache
def _text(name: str) -> str:
    return files("netloom.data.builtin").joinpath(name).read_text(encoding="utf-8")


class Intents(Dataset):
    """Utterances to an assistant, and their intents."""

    name = "intents"
    example_count = 3391
    title = "Intents"
    kind = "text"
    task = "classification"
    summary = "Short requests to an assistant, such as setting an alarm or asking for the weather"

    def read(self) -> RawDataset:
        requests: dict[str, list[str]] = json.loads(_text("intents.json"))
        classes = tuple(sorted(requests))
        pairs = [(text, number) for number, name in enumerate(classes) for text in requests[name]]
        return Texts(
            name="text",
            target=np.array([number for _, number in pairs], dtype=np.int64),
            target_kind="class",
            target_name="intent",
            classes=classes,
            texts=[text for text, _ in pairs],
        )


class Tales(Dataset):
    """Short tales as sequences of characters."""

    name = "tales"
    example_count = 969
    title = "Tales"
    kind = "text"
    task = "language_modeling"
    summary = "Short tales: predict each next character from the previous ones"

    length: int = Field(64, ge=8, le=512, description="Number of characters that the model sees")

    def read(self) -> RawDataset:
        text = _text("tales.txt")
        rows = (len(text) - 1) // self.length
        return Characters(
            name="text",
            target=np.arange(rows),
            target_kind="next_token",
            target_name="next character",
            text=text,
            length=self.length,
            contiguous=True,
        )
