"""What the rows and columns of an input of numbers stand for: steps and channels, moments of a sound, or a graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from netloom.explain.core.segments import Segments, split_steps

if TYPE_CHECKING:
    from netloom.data import Prepared

NODE = "node"
# A series of more steps than this is drawn in pieces, as nobody can tell its single steps apart.
MAX_DRAWN_STEPS = 256


@dataclass(frozen=True)
class Axes:
    """A field (T, D): what one of its rows is called and what one of its columns, and how many rows are a second, 0
    where there is no clock. `of_nodes`: its columns are the nodes of a graph as well."""

    down: str = "step"
    across: str = "channel"
    rate: float = 0.0
    of_nodes: bool = False

    @property
    def title(self) -> str:
        """The title of the axis along which the rows lie."""
        return "Seconds" if self.rate else self.down.capitalize()

    @property
    def is_graph(self) -> bool:
        """Whether the rows are the nodes of a graph, which have no order."""
        return self.down == NODE

    def names(self, width: int, labels: tuple[str, ...] = ()) -> list[str]:
        """What the columns are called; nodes are counted from 0, as everywhere in this app."""
        numbered = [f"{NODE} {index}" if self.of_nodes else f"{self.across} {index + 1}" for index in range(width)]
        return [*labels[:width], *numbered[len(labels) :]]

    def along(self, steps: int) -> np.ndarray:
        """Where each row lies along its axis, (T,)."""
        positions: np.ndarray = np.arange(steps) / (self.rate or 1.0)
        return positions

    def steps(self, count: int) -> tuple[str, ...]:
        """What so many rows are called where each is told by itself, counted as along the axis."""
        return tuple(f"{position:.3g} s" if self.rate else f"{position:g}" for position in self.along(count).tolist())

    def pieces(self, steps: int) -> Segments | None:
        """The pieces in which so many rows are drawn; None where each is drawn by itself."""
        return split_steps(steps, self.rate) if steps > MAX_DRAWN_STEPS else None

    def drawn(self, values: np.ndarray) -> np.ndarray:
        """Attributions (T, D) as they are drawn: the sum of each piece, (pieces, D), where there are too many."""
        segments = self.pieces(len(values))
        return values if segments is None else np.add.reduceat(values, segments.starts, axis=0)


def axes_of(data: Prepared) -> dict[str, Axes]:
    """The axes of each field that has two."""
    sequences = [spec for spec in data.schema.inputs if spec.is_sequence and len(spec.shape) == 2]
    adjacency = _adjacency({spec.name: spec.shape for spec in sequences})
    if adjacency:
        columns = {spec.name: "joined to" if spec.name == adjacency else "feature" for spec in sequences}
        return {name: Axes(NODE, across, of_nodes=name == adjacency) for name, across in columns.items()}
    return {spec.name: Axes(rate=data.field(spec.name).rate) for spec in sequences}


def _adjacency(shapes: dict[str, tuple[int, ...]]) -> str:
    """The field that says which nodes are joined: it is square, and others have as many rows. Else empty."""
    square_names = [name for name, (down, across) in shapes.items() if down == across and down > 1]
    rows = {down for down, _ in shapes.values()}
    return square_names[-1] if square_names and len(shapes) > 1 and len(rows) == 1 else ""
