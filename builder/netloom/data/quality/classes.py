"""How many rows the classes have."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netloom.data.quality import fixes
from netloom.data.quality.finding import Finding, Plot, are, named
from netloom.data.quality.quality_view import Look

IMBALANCE = 10.0
FEW = 10


class Imbalance:
    """A class that is much rarer than another."""

    title = "Classes of very different sizes"
    heavy = False
    severe = False

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
            exact=True,
        )


class SmallClasses:
    """Classes with too few rows to learn from, or with none to measure on."""

    title = "Classes with too few rows"
    heavy = False
    severe = False

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
                exact=True,
            )
        missing = _unmeasured(look, [name for name in counts if name not in few])
        if missing:
            every = [name for names in missing.values() for name in names]
            yield Finding(
                "unmeasured_classes",
                "warning",
                " ".join(f"{named(names)} {_stand(names)} {where}." for where, names in missing.items()),
                "On test rows it is measured whether the network can tell a class, on validation rows the best weights "
                "are chosen; split so that each part has its share.",
                count=len(every),
                fix=fixes.split_by(look, "stratified", "Split by class"),
                exact=True,
            )


def _stand(names: list[str]) -> str:
    return "stands" if len(names) == 1 else "stand"


def _unmeasured(look: Look, names: list[str]) -> dict[str, list[str]]:
    """The classes that lack rows to measure on, by what they lack. Those that training lacks are told elsewhere."""
    target = look.data.target
    trained = set(np.unique(target[look.data.split["train"]].numpy()).tolist())
    held = (np.unique(target[look.data.split[part]].numpy()) for part in ("validation", "test"))
    validated, tested = (set(found.tolist()) for found in held)
    places = {name: place for place, name in enumerate(look.classes)}
    found: dict[str, list[str]] = {}
    for name in names:
        inside = (places[name] in validated, places[name] in tested)
        where = {
            (False, False): "in no validation and no test row",
            (True, False): "in no test row",
            (False, True): "in no validation row",
        }.get(inside)
        if where and places[name] in trained:
            found.setdefault(where, []).append(name)
    return found


def class_counts(look: Look) -> dict[str, int]:
    """How many of all rows that are used each class has; nothing where no class is to be told."""
    if not look.data.schema.target.type.is_class:
        return {}
    counts = np.bincount(look.data.target.numpy()[look.used], minlength=len(look.classes))
    return {name: int(count) for name, count in zip(look.classes, counts, strict=True)}
