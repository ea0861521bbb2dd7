"""Augmentations of texts: missing, replaced and reordered words. Padding stays unchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from netloom.data.augmentation.augmentation import Change, Facts, Motion, Move, Random
from netloom.modalities.encoding.tokenization import PAD, UNKNOWN
from netloom.modalities.field_spec import Kind

if TYPE_CHECKING:
    import torch


class TokenDropout(Change):
    """https://arxiv.org/abs/1511.06349, section 3.1"""

    name = "token_dropout"
    title = "Token dropout"
    summary = "Replaces random words, so that the prediction does not rely on a single word"
    kinds: ClassVar[tuple[Kind, ...]] = ("tokens",)
    share: float = Field(0.1, gt=0, le=0.9, description="Probability that a word is replaced")
    become: Literal["unknown", "another"] = Field("unknown", description="What replaces a word")

    def change(self, values: torch.Tensor, facts: Facts, random: Random) -> torch.Tensor:
        shape = (values.shape[0], values.shape[1])
        hit = (random.uniform(shape) < self.share) & (values != PAD)
        if self.become == "unknown":
            return values.masked_fill(hit, UNKNOWN)
        largest = (facts.spec.vocabulary or UNKNOWN + 1) - 1
        replacement = random.whole(shape, min(UNKNOWN + 1, largest), largest).to(values.dtype)
        return replacement.where(hit, values)


class WordSwap(Motion):
    """https://arxiv.org/abs/1901.11196, with neighbors alone"""

    name = "word_swap"
    title = "Word swap"
    summary = "Swaps random words with their neighbors, together with their tags"
    kinds: ClassVar[tuple[Kind, ...]] = ("tokens",)
    spoils: ClassVar[tuple[str, ...]] = ("next_token", "sequence")
    spoiled = "reorders words without their targets"
    share: float = Field(0.1, gt=0, le=1, description="Probability that two neighboring words are swapped")

    def moves(self, values: torch.Tensor, facts: Facts, random: Random) -> Move:
        import torch

        rows, length = values.shape
        positions = torch.arange(length, device=values.device)
        # Pairs start at the first word in half of the rows, and at the second one in the others.
        first = random.whole((rows, 1), 0, 1)
        leads = (positions + first) % 2 == 0
        swapped = leads & (random.uniform((rows, length)) < self.share) & (values != PAD)
        swapped[:, :-1] &= values[:, 1:] != PAD
        swapped[:, -1] = False
        order = positions + swapped.long()
        order[:, 1:] -= swapped[:, :-1].long()
        return lambda tensor, exact: tensor.gather(1, order)
