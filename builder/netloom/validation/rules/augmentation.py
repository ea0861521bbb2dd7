"""Whether augmentations match the data that the network reads."""

from __future__ import annotations

from collections.abc import Iterator

from netloom.data import DataError
from netloom.data.augmentation import augmentations, parsed, unsuitable_reason
from netloom.layers.io import Input
from netloom.validation.context import Context
from netloom.validation.facts import Totals
from netloom.validation.issue import Fix, Issue
from netloom.validation.rule import Rule, Stage


class Augmenting(Rule):
    """Every augmentation exists, has valid settings, and changes a field that the network reads."""

    stage = Stage.TRAINING
    is_for_main_only = True

    def check(self, context: Context, totals: Totals) -> Iterator[Issue]:
        declared = context.project.training.augment
        if not declared:
            return
        layers = [context.layers[key] for key in context.of_type(Input)]
        read = [layer.field for layer in layers if isinstance(layer, Input) and layer.field]
        for position, augment in enumerate(declared):
            try:
                if context.schema is None:
                    parsed(augment)
                    continue
                problem = unsuitable_reason(augment, context.schema, read or None)
            except DataError as error:
                problem = str(error)
            if problem:
                remaining = [item.model_dump(mode="json") for number, item in enumerate(declared) if number != position]
                declaration = augmentations().get(augment.kind)
                title = f"Remove {declaration.title.lower()}" if declaration else "Remove it"
                edit = {"kind": "project", "training": {"augment": remaining}}
                yield context.issue("augment", problem, fix=Fix(title, edit))
