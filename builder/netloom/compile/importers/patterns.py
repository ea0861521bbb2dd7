"""Search for the repeated pattern whose replacement by a network saves the most nodes relative to its size.

The weights of the score are heuristic; tests/compile/test_repeats.py checks the resulting groups for architectures such
as residual networks and Transformers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from netloom.compile.importers.chains import BOUNDARY, Number, NumberPath, Subgraph, Wiring
from netloom.compile.importers.naming import ModuleNames
from netloom.document import Network
from netloom.document.network import SUBNETWORK
from netloom.layers import TensorSpec

# Limits of the size of a pattern in nodes (one less if it contains a network) and in atoms, and of the numbers in which
# its occurrences can differ, because each becomes a parameter.
MIN_NODES, MAX_ATOMS, MAX_NUMBERS, MAX_STAGE_NUMBERS = 3, 64, 6, 4
MIN_SAVED, MIN_SAVED_STAGES = 4, 1
# The factor for a pattern that is a module of the file, and how strongly the size of a pattern counts against it.
MODULE_BONUS, SIZE_EXPONENT = 1.5, 0.25
# Factors for a pattern that begins with the activation that closes another block, and for one that begins or ends with
# a subnetwork among layers.
CLOSING_PENALTY, MIXED_PENALTY = 0.95, 0.8
# The reduction for a pattern between two nodes of a chain, as the pattern around it may repeat as well.
INSIDE_PENALTY = 0.3
# Prefixes of layers with weights; needed for files that contain no weights.
_TRAINABLE = ("Conv", "Linear", "LSTM", "GRU", "RNN", "Separable", "Depthwise", SUBNETWORK)

Columns = tuple[tuple[int, NumberPath], ...]
Table = list[dict[tuple[int, NumberPath], Number]]


class Segment(NamedTuple):
    """A part of a chain: the index of the chain, and the range of its atoms as of a slice."""

    chain: int
    start: int
    end: int


@dataclass(frozen=True)
class Run:
    """Consecutive occurrences of a pattern, each of which reads the output of the one before."""

    subgraphs: tuple[Subgraph, ...]
    values: tuple[Number, ...]


@dataclass(frozen=True)
class Pattern:
    """Subgraphs of equal structure.

    `columns` are the locations of the numbers in which they differ, by the position of the node in the subgraph. If
    `shared`, all occurrences have the same weights. `tied` are the nodes that share weights while others do not.
    """

    runs: tuple[Run, ...]
    columns: Columns
    score: float
    shared: bool = False
    tied: tuple[str, ...] = ()

    @property
    def first(self) -> Subgraph:
        return self.runs[0].subgraphs[0]


@dataclass
class PatternSearch:
    """The search for patterns in a network; `weighted` are the nodes that have weights in the file.

    With `untie`, repeated blocks in which only some layers share their weights may get separate weights.
    """

    network: Network
    specs: Mapping[str, TensorSpec]
    names: ModuleNames
    weighted: frozenset[str]
    untie: bool = False
    wiring: Wiring = field(init=False)

    def __post_init__(self) -> None:
        self.wiring = Wiring(self.network)

    def best(self) -> Pattern | None:
        """The pattern with the highest score; None if no pattern saves enough nodes."""
        best: Pattern | None = None
        for bound, segments in candidates(self.wiring):
            # Candidates are sorted by their bound, so that no later one can have a higher score.
            if best is not None and bound * MODULE_BONUS <= best.score:
                break
            for pattern in self._patterns(segments):
                if best is None or pattern.score > best.score:
                    best = pattern
        return best

    def _patterns(self, segments: Iterable[Segment]) -> Iterable[Pattern]:
        """The patterns among segments with equal sequences of signatures, whose wiring may still differ."""
        classes: dict[tuple[object, ...], list[Subgraph]] = {}
        reached: dict[int, int] = {}
        for segment in segments:
            # Occurrences must not overlap; of two that do, the first is taken.
            if segment.start < reached.get(segment.chain, 0):
                continue
            atoms = self.wiring.chains[segment.chain][segment.start : segment.end]
            subgraph = self.wiring.subgraph({key for atom in atoms for key in atom.nodes}, atoms[-1].nodes[0])
            if subgraph is not None:
                classes.setdefault(subgraph.key, []).append(subgraph)
                reached[segment.chain] = segment.end
        for subgraphs in classes.values():
            if len(subgraphs) < 2 or not self._is_trainable(subgraphs[0]):
                continue
            yield from filter(None, map(self._pattern, self._selections(subgraphs)))

    def _selections(self, subgraphs: list[Subgraph]) -> Iterable[list[Subgraph]]:
        """Candidate sets: all occurrences, those that are modules of the file, those with most or all numbers equal."""
        yield subgraphs
        yield self._without_outliers(subgraphs)
        modules = [subgraph for subgraph in subgraphs if self.names.is_module(subgraph.order)]
        if len(modules) < len(subgraphs):
            yield self._without_outliers(modules)
        by_numbers: dict[tuple[object, ...], list[Subgraph]] = {}
        for subgraph in subgraphs:
            by_numbers.setdefault(tuple(self._numbers(subgraph).items()), []).append(subgraph)
        if len(subgraphs) > len(by_numbers) > 1:
            yield from by_numbers.values()

    def _without_outliers(self, subgraphs: list[Subgraph]) -> list[Subgraph]:
        """The occurrences without those that differ in a number that is equal in most others."""
        while len(subgraphs) > 2:
            columns, table = self._columns(subgraphs)
            if self._differs_little(subgraphs[0], columns, table):
                break
            counts = {location: Counter(row[location] for row in table).most_common(1)[0] for location in columns}
            location = max(columns, key=lambda column: counts[column][1])
            if counts[location][1] == 1:
                break
            subgraphs = [
                subgraph for subgraph, row in zip(subgraphs, table, strict=True) if row[location] == counts[location][0]
            ]
        return subgraphs

    def _differs_little(self, subgraph: Subgraph, columns: Columns, table: Table) -> bool:
        """Whether the occurrences differ in so few numbers that these can become parameters."""
        stage = all(self.network.nodes[key].type == SUBNETWORK for key in subgraph.order)
        limit = MAX_STAGE_NUMBERS if stage else min(MAX_NUMBERS, max(1, (len(subgraph.order) + 1) // 2))
        return len(independent([tuple(row[location] for row in table) for location in columns])) <= limit

    def _numbers(self, subgraph: Subgraph) -> dict[tuple[int, NumberPath], Number]:
        return {
            (number, location): value
            for number, key in enumerate(subgraph.order)
            for location, value in self.wiring.numeric_parameters[key].items()
        }

    def _columns(self, subgraphs: list[Subgraph]) -> tuple[Columns, Table]:
        """The locations of the numbers in which occurrences differ, and all numbers of each occurrence."""
        table = [self._numbers(subgraph) for subgraph in subgraphs]
        differing = (
            location for location in table[0] if len({(type(row[location]), row[location]) for row in table}) > 1
        )
        return tuple(differing), table

    def _pattern(self, subgraphs: list[Subgraph]) -> Pattern | None:
        """The pattern of some occurrences; None if it saves too few nodes or they differ too much."""
        if len(subgraphs) < 2:
            return None
        columns, table = self._columns(subgraphs)
        if not self._differs_little(subgraphs[0], columns, table):
            return None
        runs: list[Run] = []
        for subgraph, numbers in zip(subgraphs, table, strict=True):
            values = tuple(numbers[location] for location in columns)
            if runs and runs[-1].values == values and self._is_repetition(runs[-1].subgraphs[-1], subgraph):
                runs[-1] = Run((*runs[-1].subgraphs, subgraph), values)
            else:
                runs.append(Run((subgraph,), values))
        size = len(subgraphs[0].order)
        # Each run becomes one node, and the new network has `size` nodes.
        saved_nodes = len(subgraphs) * size - len(runs) - size
        sharing = self._sharing(subgraphs, len(runs))
        if saved_nodes < minimum_saving(self.wiring, subgraphs[0].order) or sharing is None:
            return None
        is_module = MODULE_BONUS if all(self.names.is_module(subgraph.order) for subgraph in subgraphs) else 1.0
        inside = sum(subgraph.exit.partition(".")[0] in self.wiring.inner for subgraph in subgraphs) / len(subgraphs)
        score = (
            (1 - INSIDE_PENALTY * inside)
            * is_module
            * saved_nodes
            / size**SIZE_EXPONENT
            * self._boundary_quality(subgraphs[0])
        )
        return Pattern(tuple(runs), columns, score, *sharing)

    def _boundary_quality(self, subgraph: Subgraph) -> float:
        """A factor for the boundaries of a pattern.

        It is lower if the pattern begins with the activation that closes the previous block, or if it mixes layers with
        a subnetwork at its beginning or end.
        """
        first_readers = [key for key in self.wiring.readers[subgraph.entries[0]] if key in subgraph.order]
        is_subnetwork = [self.network.nodes[key].type == SUBNETWORK for key in subgraph.order]
        if not all(is_subnetwork) and (
            is_subnetwork[0] or (len(first_readers) == 1 and self.network.nodes[first_readers[0]].type == SUBNETWORK)
        ):
            return MIXED_PENALTY
        return 1.0 if len(first_readers) > 1 or self._has_weights(first_readers[0]) else CLOSING_PENALTY

    def _is_trainable(self, subgraph: Subgraph) -> bool:
        return any(self._has_weights(key) for key in subgraph.order)

    def _has_weights(self, key: str) -> bool:
        return key in self.weighted or self.network.nodes[key].type.startswith(_TRAINABLE)

    def _is_repetition(self, first: Subgraph, second: Subgraph) -> bool:
        """Whether only the second reads the output of the first, so that `repeat` can express both."""
        spec, inside = self.specs.get(first.exit), set(second.order)
        return (
            first.exit == second.entries[0]
            and first.entries[1:] == second.entries[1:]
            and spec is not None
            and self.specs.get(first.entries[0]) == spec == self.specs.get(second.exit)
            and all(reader in inside for reader in self.wiring.readers[first.exit])
        )

    def _sharing(self, subgraphs: list[Subgraph], runs: int) -> tuple[bool, tuple[str, ...]] | None:
        """Whether all occurrences share all weights, and the nodes that share only some of them.

        None if a pattern cannot express the sharing.
        """
        tie_groups = self.wiring.tie_groups
        tied_positions = [position for position, key in enumerate(subgraphs[0].order) if key in tie_groups]
        # Only ties between the corresponding nodes of all occurrences can be expressed.
        if any(
            tie_groups[subgraphs[0].order[position]] != {subgraph.order[position] for subgraph in subgraphs}
            for position in tied_positions
        ):
            return None
        trainable_positions = [position for position, key in enumerate(subgraphs[0].order) if self._has_weights(key)]
        if not tied_positions:
            return False, ()
        if runs > 1:
            return None
        if len(tied_positions) == len(trainable_positions):
            return True, ()
        return (
            (False, tuple(subgraph.order[position] for subgraph in subgraphs for position in tied_positions))
            if self.untie
            else None
        )


def candidates(wiring: Wiring) -> list[tuple[float, list[Segment]]]:
    """Groups of segments with equal sequences of signatures, with an upper bound of their score, the highest first.

    A sequence of length n + 1 is identified by the number of its first n signatures and its last signature, so that
    only segments that repeat at length n are extended.
    """
    signature_numbers: dict[str, int] = {}
    chain_marks = [
        [signature_numbers.setdefault(atom.signature, len(signature_numbers)) for atom in chain]
        for chain in wiring.chains
    ]
    # Inputs and Outputs stay in the main network, so that no segment may contain them.
    boundary_signatures = {number for signature, number in signature_numbers.items() if signature.startswith(BOUNDARY)}
    signatures: dict[tuple[int, int, int], int] = {}
    current = {
        (chain, start): signature
        for chain, row in enumerate(chain_marks)
        for start, signature in enumerate(row)
        if signature not in boundary_signatures
    }
    scored: list[tuple[float, list[Segment]]] = []
    for length in range(1, MAX_ATOMS + 1):
        groups: dict[int, list[Segment]] = {}
        for (chain, start), signature in current.items():
            groups.setdefault(signature, []).append(Segment(chain, start, start + length))
        groups = {signature: segments for signature, segments in groups.items() if len(segments) > 1}
        scored += [(score, segments) for segments in groups.values() if (score := _bound(wiring, segments)) > 0]
        current = {
            (segment.chain, segment.start): signatures.setdefault(
                (length, signature, chain_marks[segment.chain][segment.end]), len(signatures)
            )
            for signature, segments in groups.items()
            for segment in segments
            if segment.end < len(chain_marks[segment.chain])
            and chain_marks[segment.chain][segment.end] not in boundary_signatures
        }
    return sorted(scored, key=lambda item: -item[0])


def _bound(wiring: Wiring, segments: list[Segment]) -> float:
    """An upper bound of the score of segments, without the factor for modules; 0 if they cannot become a network."""
    atoms = wiring.chains[segments[0].chain][segments[0].start : segments[0].end]
    size = sum(len(atom.nodes) for atom in atoms)
    nested = any(wiring.network.nodes[key].type == SUBNETWORK for atom in atoms for key in atom.nodes)
    occurrences, reached = 0, dict.fromkeys((segment.chain for segment in segments), 0)
    for segment in segments:
        if segment.start >= reached[segment.chain]:
            occurrences, reached[segment.chain] = occurrences + 1, segment.end
    # At best, all occurrences are a single run.
    saved_nodes = occurrences * size - 1 - size
    saves_too_little = saved_nodes < minimum_saving(wiring, [key for atom in atoms for key in atom.nodes])
    # A subgraph has one output, that of its last node, so that the last atom must be a single node.
    if size < MIN_NODES - nested or occurrences < 2 or saves_too_little or not atoms[-1].is_single:
        return 0.0
    return float(saved_nodes / size**SIZE_EXPONENT)


def minimum_saving(wiring: Wiring, nodes: Iterable[str]) -> int:
    """The number of nodes that a pattern has to save; it is lower for a stage, which consists of networks only."""
    return MIN_SAVED_STAGES if all(wiring.network.nodes[key].type == SUBNETWORK for key in nodes) else MIN_SAVED


def independent(columns: list[tuple[Number, ...]]) -> list[int]:
    """The indices of columns such that all others equal one of them or are an integer multiple of it."""
    order = sorted(range(len(columns)), key=lambda position: (sum(map(abs, columns[position])), position))
    chosen: list[int] = []
    for position in order:
        if not any(expression("x", columns[chosen_position], columns[position]) for chosen_position in chosen):
            chosen.append(position)
    return chosen


def expression(name: str, base: tuple[Number, ...], column: tuple[Number, ...]) -> str:
    """A column of numbers as an expression over the parameter `name`, whose column is `base`; "" if there is none."""
    if [*map(type, base)] == [*map(type, column)] and base == column:
        return name
    if all(type(value) is int for value in (*base, *column)) and all(base):
        factors = {column_number / base_number for base_number, column_number in zip(base, column, strict=True)}
        factor = next(iter(factors))
        if len(factors) == 1 and factor > 1 and factor.is_integer():
            return f"{name} * {int(factor)}"
    return ""


__all__ = ["Pattern", "PatternSearch", "Run", "Segment", "candidates", "expression", "independent"]
