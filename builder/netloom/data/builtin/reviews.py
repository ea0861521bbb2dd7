"""Positive and negative reviews, composed by a grammar that was written for Netloom."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from netloom.data.builtin_registry import Dataset, Rows
from netloom.data.raw.texts import Texts
from netloom.data.raw_dataset import RawDataset

# The topics of reviews. Each topic is a group of the split, so the test has topics that training lacks.
NOUNS = {
    "film": "plot actor scene ending dialogue camera", "novel": "chapter hero style page title preface",
    "hotel": "room bed lobby breakfast pool view", "restaurant": "soup waiter table dessert menu wine",
    "concert": "singer drummer stage sound encore hall", "phone": "screen battery case keyboard speaker charger",
    "bicycle": "saddle brake frame gear tyre bell", "museum": "guide painting gallery ticket sculpture cafe",
    "tent": "pole zip floor rope roof bag", "jacket": "collar pocket lining sleeve button fabric",
    "course": "teacher lesson exercise handout exam forum", "train": "seat window carriage conductor toilet luggage",
    "game": "level puzzle character map sound story", "camera": "lens flash strap shutter sensor grip",
    "oven": "door grill timer tray fan light", "garden": "path pond bench rose fence lawn",
    "lamp": "shade cable bulb stand switch base", "boat": "sail deck cabin anchor engine hull",
    "play": "curtain costume monologue act set cast", "laptop": "hinge fan keypad port monitor mouse",
    "chair": "leg cushion arm back wheel cover", "cake": "icing cream layer sponge filling crust",
    "headset": "cushion cable microphone volume band plug", "watch": "dial strap hand buckle crown alarm",
    "ferry": "deck crew cabin rail gangway horn", "app": "button login page setting update font",
    "zoo": "cage keeper lion path pond shop", "spa": "sauna towel bath massage locker steam",
    "shop": "clerk shelf till counter basket queue", "kettle": "spout lid handle switch cord base",
}  # fmt: skip
GOOD = (
    "good great lovely excellent wonderful superb charming delightful brilliant pleasant perfect fine splendid "
    "impressive fresh clever"
).split()
BAD = (
    "bad poor awful terrible dreadful dull boring weak nasty horrible useless broken disappointing ugly tiring stale"
).split()
# {x} is a word with the polarity of the review, {y} one with the opposite polarity.
FRAMES = (
    "the {a} was {x}", "what a {x} {thing}", "the {a} is {x} and the {b} is {x}", "I found the {a} really {x}",
    "a {x} {thing} with a {x} {a}", "the {a} was not {y}", "this {thing} is not {y} at all",
    "nothing about the {a} was {y}", "I never saw a {thing} less {y}",
    "at first the {a} seemed {y} but in the end it was {x}",
    "they told me the {b} would be {y} , yet it was {x}", "although the {a} is {y} , the {thing} as a whole is {x}",
    "no one can call this {thing} {y}", "far from {y} , the {a} was {x}", "the {a} , once {y} , is now {x}",
    "everything from the {a} to the {b} was {x}", "I expected a {y} {thing} and got a {x} one",
    "hardly a {y} {a} in the whole {thing}",
)  # fmt: skip


class Reviews(Dataset):
    """Short reviews. Single words are not sufficient, because templates invert them, as in "not bad" or "seemed good
    but was dull"."""

    name = "reviews"
    example_count = 2400
    title = "Reviews"
    kind = "text"
    task = "classification"
    summary = "Short reviews of thirty products: positive or negative. The test rows review other products"

    rows: Rows = Field(2400, description="Number of reviews")

    def read(self) -> RawDataset:
        random = np.random.default_rng(7)
        topics = list(NOUNS)
        label_of_text: dict[str, tuple[int, int]] = {}
        while len(label_of_text) < self.rows:
            group, side = int(random.integers(len(topics))), int(random.integers(2))
            label_of_text.setdefault(_review(topics[group], side, random), (side, group))
        return Texts(
            name="text",
            target=np.array([side for side, _ in label_of_text.values()]),
            target_kind="class",
            target_name="opinion",
            classes=("against", "for"),
            texts=list(label_of_text),
            groups=np.array([group for _, group in label_of_text.values()]),
        )


def _review(topic: str, side: int, random: np.random.Generator) -> str:
    """Return a review of a topic; `side` is 1 for a positive one."""
    first, second = random.choice(NOUNS[topic].split(), 2, replace=False)
    same, contrary = (GOOD, BAD) if side else (BAD, GOOD)
    text = str(random.choice(FRAMES)).replace("{thing}", topic).replace("{a}", first).replace("{b}", second)
    while "{x}" in text:
        text = text.replace("{x}", str(random.choice(same)), 1)
    return text.replace("{y}", str(random.choice(contrary)))
