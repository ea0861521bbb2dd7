"""The meaning of the rows and columns of a numeric input: steps and channels, time, or a graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from netloom.explain.core.parts.segments import Segments, split_steps

if TYPE_CHECKING:
    from netloom.data import Prepared

NODE = "node"
# Longer series are drawn in segments, because single steps are not distinguishable.
MAX_DRAWN_STEPS = 256


@dataclass(frozen=True)
class Axes:
    """The names of the rows and columns of a field (T, D), and the rows per second (0 without a clock).

    If `of_nodes`, its columns are the nodes of a graph as well.
    """

    down: str = "step"
    across: str = "channel"
    rate: float = 0.0
    of_nodes: bool = False

    @property
    def title(self) -> str:
        """The title of the axis along the rows."""
        return "Seconds" if self.rate else self.down.capitalize()

    @property
    def is_graph(self) -> bool:
        """Whether the rows are the nodes of a graph, which have no order."""
        return self.down == NODE

    def names(self, width: int, labels: tuple[str, ...] = ()) -> list[str]:
        """Return the names of the columns; nodes are counted from 0, as everywhere in the app."""
        numbered = [f"{NODE} {index}" if self.of_nodes else f"{self.across} {index + 1}" for index in range(width)]
        return [*labels[:width], *numbered[len(labels) :]]

    def along(self, steps: int) -> np.ndarray:
        """Return the position of each row along its axis, (T,)."""
        positions: np.ndarray = np.arange(steps) / (self.rate or 1.0)
        return positions

    def steps(self, count: int) -> tuple[str, ...]:
        """Return the names of `count` single rows, counted as along the axis."""
        return tuple(f"{position:.3g} s" if self.rate else f"{position:g}" for position in self.along(count).tolist())

    def pieces(self, steps: int) -> Segments | None:
        """Return the segments in which rows are drawn; None if each row is drawn alone."""
        return split_steps(steps, self.rate) if steps > MAX_DRAWN_STEPS else None

    def drawn(self, values: np.ndarray) -> np.ndarray:
        """Return attributions (T, D) as they are drawn: sums of segments, (segments, D), if there are too many rows."""
        segments = self.pieces(len(values))
        return values if segments is None else np.add.reduceat(values, segments.starts, axis=0)


def axes_of(data: Prepared) -> dict[str, Axes]:
    """Return the axes of each two-dimensional field."""
    sequences = [spec for spec in data.schema.inputs if spec.is_sequence and len(spec.shape) == 2]
    adjacency = _adjacency({spec.name: spec.shape for spec in sequences})
    if adjacency:
        columns = {spec.name: "joined to" if spec.name == adjacency else "feature" for spec in sequences}
        return {name: Axes(NODE, across, of_nodes=name == adjacency) for name, across in columns.items()}
    return {spec.name: Axes(rate=data.field(spec.name).rate) for spec in sequences}


def _adjacency(shapes: dict[str, tuple[int, ...]]) -> str:
    """Return the field with the adjacency matrix: a square field with as many rows as other fields; empty without
    one."""
    square_names = [name for name, (down, across) in shapes.items() if down == across and down > 1]
    rows = {down for down, _ in shapes.values()}
    return square_names[-1] if square_names and len(shapes) > 1 and len(rows) == 1 else ""
