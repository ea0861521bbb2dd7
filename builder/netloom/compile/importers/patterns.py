"""Which pattern of a network is worth a network of its own: the one that saves most nodes for its size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from netloom.compile.importers.chains import Number, Place, Shape, Wiring
from netloom.compile.importers.naming import Names
from netloom.document import Network
from netloom.document.project import SUBNETWORK
from netloom.layers import TensorSpec

# A pattern has at least so many nodes, or two if one of them is a network; at most so many atoms, and numbers in which
# its occurrences differ.
LEAST_NODES, MOST_ATOMS, MOST_NUMBERS, STAGE_NUMBERS = 3, 64, 6, 4
LEAST_SAVED, LEAST_STAGES = 4, 1
# How much a pattern that follows the file's own modules is preferred, and how little its size counts against it.
FOLLOWS, BULK = 1.5, 0.25
# And how much less a pattern is worth that begins with what closes another, or begins or ends with another pattern.
CLOSING, MIXED = 0.95, 0.8
# And one that is but a part of what may repeat around it.
INSIDE = 0.3
# Layers that learn, also where a file holds no weights.
_LEARNING = ("Conv", "Linear", "LSTM", "GRU", "RNN", "Separable", "Depthwise", SUBNETWORK)

Columns = tuple[tuple[int, Place], ...]
Table = list[dict[tuple[int, Place], Number]]


class Piece(NamedTuple):
    """A part of a chain: which chain, and its first atom and the one behind its last."""

    chain: int
    start: int
    end: int


@dataclass(frozen=True)
class Run:
    """Equal occurrences of a pattern, each fed by the one before."""

    shapes: tuple[Shape, ...]
    values: tuple[Number, ...]


@dataclass(frozen=True)
class Pattern:
    """Nodes that stand in several places in the same way.

    `columns` are the numbers in which these places differ, by the node's place in a shape. `shared` says that all
    occurrences have the same weights; `tied` are the nodes that share weights where others do not.
    """

    runs: tuple[Run, ...]
    columns: Columns
    score: float
    shared: bool = False
    tied: tuple[str, ...] = ()

    @property
    def first(self) -> Shape:
        return self.runs[0].shapes[0]


@dataclass
class Search:
    """A network in which patterns are sought; `weighted` are the nodes that have weights in the file.

    With `untie`, repeated blocks of which only some layers share their weights may get weights of their own.
    """

    network: Network
    specs: Mapping[str, TensorSpec]
    names: Names
    weighted: frozenset[str]
    untie: bool = False
    wiring: Wiring = field(init=False)

    def __post_init__(self) -> None:
        self.wiring = Wiring(self.network)

    def best(self) -> Pattern | None:
        """The pattern that saves most, or None where none saves enough."""
        found: Pattern | None = None
        for bound, pieces in candidates(self.wiring):
            if found is not None and bound * FOLLOWS <= found.score:
                break
            for pattern in self._patterns(pieces):
                if found is None or pattern.score > found.score:
                    found = pattern
        return found

    def _patterns(self, pieces: Iterable[Piece]) -> Iterable[Pattern]:
        """The patterns among pieces that look alike at first sight."""
        classes: dict[tuple[object, ...], list[Shape]] = {}
        reached: dict[int, int] = {}
        for piece in pieces:
            if piece.start < reached.get(piece.chain, 0):
                continue
            atoms = self.wiring.chains[piece.chain][piece.start : piece.end]
            shape = self.wiring.shape({key for atom in atoms for key in atom.nodes}, atoms[-1].nodes[0])
            if shape is not None:
                classes.setdefault(shape.key, []).append(shape)
                reached[piece.chain] = piece.end
        for shapes in classes.values():
            if len(shapes) < 2 or not self._learns(shapes[0]):
                continue
            yield from filter(None, map(self._pattern, self._selections(shapes)))

    def _selections(self, shapes: list[Shape]) -> Iterable[list[Shape]]:
        """All occurrences; those that are modules of the file; and those that have most or all numbers in common."""
        yield shapes
        yield self._usual(shapes)
        following = [shape for shape in shapes if self.names.follows(shape.order)]
        if len(following) < len(shapes):
            yield self._usual(following)
        alike: dict[tuple[object, ...], list[Shape]] = {}
        for shape in shapes:
            alike.setdefault(tuple(self._numbers(shape).items()), []).append(shape)
        if len(shapes) > len(alike) > 1:
            yield from alike.values()

    def _usual(self, shapes: list[Shape]) -> list[Shape]:
        """The occurrences without those that stand out by a number that most of the others have in common."""
        while len(shapes) > 2:
            columns, table = self._columns(shapes)
            if self._few(shapes[0], columns, table):
                break
            counts = {where: Counter(row[where] for row in table).most_common(1)[0] for where in columns}
            where = max(columns, key=lambda column: counts[column][1])
            if counts[where][1] == 1:
                break
            shapes = [shape for shape, row in zip(shapes, table, strict=True) if row[where] == counts[where][0]]
        return shapes

    def _few(self, shape: Shape, columns: Columns, table: Table) -> bool:
        """Whether the occurrences differ in so few numbers that these can be parameters."""
        stage = all(self.network.nodes[key].type == SUBNETWORK for key in shape.order)
        most = STAGE_NUMBERS if stage else min(MOST_NUMBERS, max(1, (len(shape.order) + 1) // 2))
        return len(independent([tuple(row[where] for row in table) for where in columns])) <= most

    def _numbers(self, shape: Shape) -> dict[tuple[int, Place], Number]:
        return {
            (number, where): value
            for number, key in enumerate(shape.order)
            for where, value in self.wiring.numbers[key].items()
        }

    def _columns(self, shapes: list[Shape]) -> tuple[Columns, Table]:
        """Where occurrences differ, and all their numbers."""
        table = [self._numbers(shape) for shape in shapes]
        differing = (where for where in table[0] if len({(type(row[where]), row[where]) for row in table}) > 1)
        return tuple(differing), table

    def _pattern(self, shapes: list[Shape]) -> Pattern | None:
        """Occurrences as a pattern; None where it would save too little or differs in too much."""
        if len(shapes) < 2:
            return None
        columns, table = self._columns(shapes)
        if not self._few(shapes[0], columns, table):
            return None
        runs: list[Run] = []
        for shape, row in zip(shapes, table, strict=True):
            values = tuple(row[where] for where in columns)
            if runs and runs[-1].values == values and self._repeats(runs[-1].shapes[-1], shape):
                runs[-1] = Run((*runs[-1].shapes, shape), values)
            else:
                runs.append(Run((shape,), values))
        size = len(shapes[0].order)
        saved = len(shapes) * size - len(runs) - size
        sharing = self._sharing(shapes, len(runs))
        if saved < least(self.wiring, shapes[0].order) or sharing is None:
            return None
        follows = FOLLOWS if all(self.names.follows(shape.order) for shape in shapes) else 1.0
        inside = sum(shape.exit.partition(".")[0] in self.wiring.inner for shape in shapes) / len(shapes)
        worth = (1 - INSIDE * inside) * follows * saved / size**BULK * self._cut(shapes[0])
        return Pattern(tuple(runs), columns, worth, *sharing)

    def _cut(self, shape: Shape) -> float:
        """How well a pattern is cut: not before an activation, which closes another, nor with a network at an end."""
        first = [key for key in self.wiring.readers[shape.entries[0]] if key in shape.order]
        whole = [self.network.nodes[key].type == SUBNETWORK for key in shape.order]
        if not all(whole) and (whole[0] or (len(first) == 1 and self.network.nodes[first[0]].type == SUBNETWORK)):
            return MIXED
        return 1.0 if len(first) > 1 or self._has_weights(first[0]) else CLOSING

    def _learns(self, shape: Shape) -> bool:
        return any(self._has_weights(key) for key in shape.order)

    def _has_weights(self, key: str) -> bool:
        return key in self.weighted or self.network.nodes[key].type.startswith(_LEARNING)

    def _repeats(self, one: Shape, other: Shape) -> bool:
        """Whether the second takes what the first gives, and nothing else does, so that both are repetitions of one."""
        spec, inside = self.specs.get(one.exit), set(other.order)
        return (
            one.exit == other.entries[0]
            and one.entries[1:] == other.entries[1:]
            and spec is not None
            and self.specs.get(one.entries[0]) == spec == self.specs.get(other.exit)
            and all(reader in inside for reader in self.wiring.readers[one.exit])
        )

    def _sharing(self, shapes: list[Shape], runs: int) -> tuple[bool, tuple[str, ...]] | None:
        """Whether all occurrences share all weights, and the nodes that share some; None where it cannot be kept."""
        ties = self.wiring.ties
        places = [place for place, key in enumerate(shapes[0].order) if key in ties]
        if any(ties[shapes[0].order[place]] != {shape.order[place] for shape in shapes} for place in places):
            return None
        learning = [place for place, key in enumerate(shapes[0].order) if self._has_weights(key)]
        if not places:
            return False, ()
        if runs > 1:
            return None
        if len(places) == len(learning):
            return True, ()
        return (False, tuple(shape.order[place] for shape in shapes for place in places)) if self.untie else None


def candidates(wiring: Wiring) -> list[tuple[float, list[Piece]]]:
    """Pieces of chains that look alike at first sight, with the most that they could score, the best first."""
    marks: dict[str, int] = {}
    rows = [[marks.setdefault(atom.mark, len(marks)) for atom in chain] for chain in wiring.chains]
    barred = {number for mark, number in marks.items() if mark.startswith("barred ")}
    known: dict[tuple[int, int, int], int] = {}
    current = {
        (chain, start): mark for chain, row in enumerate(rows) for start, mark in enumerate(row) if mark not in barred
    }
    found: list[tuple[float, list[Piece]]] = []
    for length in range(1, MOST_ATOMS + 1):
        groups: dict[int, list[Piece]] = {}
        for (chain, start), mark in current.items():
            groups.setdefault(mark, []).append(Piece(chain, start, start + length))
        groups = {mark: pieces for mark, pieces in groups.items() if len(pieces) > 1}
        found += [(score, pieces) for pieces in groups.values() if (score := _bound(wiring, pieces)) > 0]
        current = {
            (piece.chain, piece.start): known.setdefault((length, mark, rows[piece.chain][piece.end]), len(known))
            for mark, pieces in groups.items()
            for piece in pieces
            if piece.end < len(rows[piece.chain]) and rows[piece.chain][piece.end] not in barred
        }
    return sorted(found, key=lambda item: -item[0])


def _bound(wiring: Wiring, pieces: list[Piece]) -> float:
    """The most that pieces could score; 0 where they are nothing to make a network of."""
    atoms = wiring.chains[pieces[0].chain][pieces[0].start : pieces[0].end]
    size = sum(len(atom.nodes) for atom in atoms)
    nested = any(wiring.network.nodes[key].type == SUBNETWORK for atom in atoms for key in atom.nodes)
    times, reached = 0, dict.fromkeys((piece.chain for piece in pieces), 0)
    for piece in pieces:
        if piece.start >= reached[piece.chain]:
            times, reached[piece.chain] = times + 1, piece.end
    saved = times * size - 1 - size
    few = saved < least(wiring, [key for atom in atoms for key in atom.nodes])
    if size < LEAST_NODES - nested or times < 2 or few or not atoms[-1].alone:
        return 0.0
    return float(saved / size**BULK)


def least(wiring: Wiring, nodes: Iterable[str]) -> int:
    """How many nodes a pattern has to save: fewer where it puts networks together to a stage."""
    return LEAST_STAGES if all(wiring.network.nodes[key].type == SUBNETWORK for key in nodes) else LEAST_SAVED


def independent(columns: list[tuple[Number, ...]]) -> list[int]:
    """The places of those columns of which the others are equal, or whole multiples."""
    order = sorted(range(len(columns)), key=lambda place: (sum(map(abs, columns[place])), place))
    chosen: list[int] = []
    for place in order:
        if not any(expression("x", columns[other], columns[place]) for other in chosen):
            chosen.append(place)
    return chosen


def expression(name: str, own: tuple[Number, ...], wanted: tuple[Number, ...]) -> str:
    """A column of numbers as an expression over the parameter `name`, whose column is `own`; nothing if it is none."""
    if [*map(type, own)] == [*map(type, wanted)] and own == wanted:
        return name
    if all(type(value) is int for value in (*own, *wanted)) and all(own):
        factors = {there / here for here, there in zip(own, wanted, strict=True)}
        factor = next(iter(factors))
        if len(factors) == 1 and factor > 1 and factor.is_integer():
            return f"{name} * {int(factor)}"
    return ""


__all__ = ["Pattern", "Piece", "Run", "Search", "candidates", "expression", "independent"]
