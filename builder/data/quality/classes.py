"""How many rows the classes have."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from builder.data.quality import fixes
from builder.data.quality.finding import Finding, Plot, are, named
from builder.data.quality.look import Look

IMBALANCE = 10.0
FEW = 10


class Imbalance:
    """A class that is much rarer than another."""

    title = "Classes of very different sizes"
    heavy = False

    def check(self, look: Look) -> Iterator[Finding]:
        counts = class_counts(look)
        if not counts:
            return
        rarest = min(counts, key=lambda name: counts[name])
        if max(counts.values()) <= IMBALANCE * max(counts[rarest], 1):
            return
        total = sum(counts.values())
        yield Finding(
            "imbalance",
            "warning",
            f"The classes are uneven: {rarest!r} has {counts[rarest]:,} of {total:,} rows.",
            "A network that never says the rare class is right most of the time; look at balanced accuracy and the "
            "per-class report, and weigh the classes.",
            count=counts[rarest],
            plot=Plot("bars", tuple(counts), {"rows": list(counts.values())}, axis="Rows"),
            fix=fixes.weigh_classes(),
        )


class SmallClasses:
    """Classes with too few rows to learn from, or with none to measure on."""

    title = "Classes with too few rows"
    heavy = False

    def check(self, look: Look) -> Iterator[Finding]:
        counts = class_counts(look)
        few = [name for name, count in counts.items() if count < FEW]
        if few:
            yield Finding(
                "small_classes",
                "warning",
                f"{are(len(few), 'class', 'classes')} {'has' if len(few) == 1 else 'have'} fewer than {FEW} rows: "
                f"{named(few)}.",
                "So few can neither be learned nor measured; collect more of them, put them into one class, or leave "
                "them out.",
                count=len(few),
                plot=Plot("bars", tuple(few[:40]), {"rows": [counts[name] for name in few[:40]]}, axis="Rows"),
            )
        missing = self._unmeasured(look, [name for name in counts if name not in few])
        if missing:
            yield Finding(
                "unmeasured_classes",
                "warning",
                f"{named(missing)} {'stands' if len(missing) == 1 else 'stand'} in no validation or test row.",
                "Whether the network can tell such a class is not measured; split so that each part has its share.",
                count=len(missing),
                fix=fixes.split_by(look, "stratified", "Split by class"),
            )

    def _unmeasured(self, look: Look, names: list[str]) -> list[str]:
        target = look.data.target
        held = [np.unique(target[look.data.split[part]].numpy()) for part in ("validation", "test")]
        places = {name: place for place, name in enumerate(look.classes)}
        return [name for name in names if not all(places[name] in part for part in held)]


def class_counts(look: Look) -> dict[str, int]:
    """How many of all rows that are used each class has; nothing where no class is to be told."""
    if look.data.schema.target.kind != "class":
        return {}
    counts = np.bincount(look.data.target.numpy()[look.used], minlength=len(look.classes))
    return {name: int(count) for name, count in zip(look.classes, counts, strict=True)}
