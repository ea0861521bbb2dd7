"""A preview of augmentations: one example and its augmented versions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from netloom.data.augmentation.augmenter import Augmenter
from netloom.data.boxes import present
from netloom.data.images import channels_last
from netloom.data.schema import Example
from netloom.modalities.encoding.field_encoder import FieldEncoder
from netloom.modalities.encoding.text_fields import token_encoder
from netloom.modalities.encoding.tokenization import PAD, UNKNOWN
from netloom.modalities.field_spec import FieldSpec

if TYPE_CHECKING:
    import torch

    from netloom.data.preparation.prepared_data import Prepared
    from netloom.document import Augment


def previewed(
    data: Prepared, names: Sequence[str], declared: Sequence[Augment], row: int, count: int, seed: int = 0
) -> list[tuple[Example, str]]:
    """Return `count` augmented versions of a training row, each with the label that it was mixed with, or "".

    Raises:
        DataError: an augmentation is invalid, or matches no field.
    """
    import torch

    augmenter = Augmenter(declared, data, names)
    train = data.split["train"]
    mixed_rows = train[np.random.default_rng((seed, row)).integers(len(train), size=count).tolist()].tolist()
    previews = []
    for version, mixed_row in enumerate(mixed_rows):
        rows = torch.tensor([row, mixed_row])
        inputs = [data.inputs[name][rows] for name in names]
        values, target, mixed = augmenter(inputs, data.target[rows], (seed, version, 0))
        note = ""
        if mixed is not None:
            note = f"{mixed.share:.0%} {data.target_text(row)}, {1 - mixed.share:.0%} {data.target_text(mixed_row)}"
        example = data.example(row)
        for name, value in zip(names, values, strict=True):
            example = _shown(example, data, name, value[0])
        if data.schema.target.type.is_per_pixel:
            example = replace(example, mask=target[0].numpy())
        elif data.schema.target.type.is_boxes:
            example = replace(example, boxes=present(target[0].numpy()))
        previews.append((example, note))
    return previews


def _shown(example: Example, data: Prepared, name: str, value: torch.Tensor) -> Example:
    """Return an example with another value of a field."""
    encoder = data.field(name)
    spec = next(field for field in data.schema.inputs if field.name == name)
    if spec.is_tokens:
        return _text(example, encoder, value.tolist())
    restored = encoder.restore(value[None].numpy())[0]
    if spec.is_image:
        picture = np.asarray(restored, dtype=np.float64) * data.image_field(name).unit_scale
        picture = channels_last(picture)
        images = {**example.images, name: picture} if example.images else {}
        return replace(example, image=picture if example.image is not None else None, images=images)
    if spec.is_sequence and example.series is not None:
        return replace(example, series=np.asarray(restored))
    return replace(example, columns={**example.columns, **_columns(spec, restored)})


def _columns(spec: FieldSpec, restored: Any) -> dict[str, Any]:
    return restored if isinstance(restored, dict) else {spec.name: restored}


def _text(example: Example, encoder: FieldEncoder[Any], numbers: list[int]) -> Example:
    if not encoder.is_verbatim or not example.text:
        return example
    tokens = token_encoder(encoder)
    words = [tokens.vocabulary[number] if number != UNKNOWN else "▯" for number in numbers if number != PAD]
    return replace(example, text=tokens.joined(words), tokens=tuple(words), tags=())
