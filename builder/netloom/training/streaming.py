"""Training rows streamed from files larger than memory, shuffled without random access to the disk.

Blocks of rows are drawn at random; a few dozen MiB of blocks at a time are read and shuffled in a buffer. The order
depends only on the seed and the rows, so a resumed run gets the same one. Data that fits into one buffer has the same
order as data in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from netloom.training.targets import WeightedTargets

if TYPE_CHECKING:
    import torch

    from netloom.data import Prepared
    from netloom.data.caching.memmap_cache import Mapped

# Rows in a buffer are shuffled together. The size determines the order of rows, so it must not depend on the machine.
BUFFER_BYTES = 64 * 2**20
# Rows of a block are adjacent in the split and enter a buffer together.
BLOCK_BYTES = 256 * 2**10
READ_BYTES = 4 * 2**20  # limit of a single read
GAP_BYTES = 64 * 2**10  # up to this gap, unwanted rows between two wanted ones are read as well, which is faster
# Derived seeds stay within the 64 bits that `torch.Generator` accepts.
_MODULUS = 2**63 - 1


class Stream:
    """The rows of a split in the order of an epoch. `target` (R, …) and `weights` (R,) are those of all rows."""

    def __init__(
        self,
        data: Prepared,
        fields: Sequence[str],
        rows: torch.Tensor,
        target: torch.Tensor,
        weights: torch.Tensor | None,
        device: str,
    ) -> None:
        self.data, self.fields, self.device = data, list(fields), device
        self.target, self.weights = target, weights
        self.rows = rows.numpy()
        size = row_bytes(data)
        self._buffer, self._block = max(1, BUFFER_BYTES // size), max(1, BLOCK_BYTES // size)
        if len(self.rows) > self._buffer:
            # Sorted by their place in the file, so that a block is one read. int32 halves the memory of the indices, of
            # which there can be very many.
            self.rows = np.sort(self.rows.astype(np.int32 if len(target) < 2**31 else np.int64))
        self._seed = -1
        self._bounds, self._drawn = np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.int64)
        self._buffered: tuple[int, list[torch.Tensor], torch.Tensor | WeightedTargets] | None = None

    def sentence(self, validated: int) -> str:
        """Return a sentence on how the data is read, and on the number of validation rows."""
        buffer_size = min(self._buffer, len(self.rows))
        text = (
            "The data is larger than memory: rows are read from files and shuffled in a buffer of "
            f"{buffer_size:,} rows."
        )
        of = len(self.data.split["validation"])
        return text if validated == of else f"{text} Validation uses {validated:,} of {of:,} rows."

    def start_epoch(self, seed: int) -> None:
        """Draw the order of an epoch."""
        import torch

        count = len(self.rows)
        self._seed, self._buffered = seed, None
        self._bounds = np.array([0, count])
        if count <= self._buffer:
            return
        # The order of blocks in the epoch; each buffer takes the next `together` of them.
        blocks = -(-count // self._block)
        self._drawn = torch.randperm(blocks, generator=torch.Generator().manual_seed(seed)).numpy()
        # Rows per drawn block, of which the last one of the split can be shorter. Their sums per buffer are its bounds.
        ends = np.minimum((self._drawn + 1) * self._block, count) - self._drawn * self._block
        together = max(1, self._buffer // self._block)
        self._bounds = np.concatenate([[0], np.cumsum(np.add.reduceat(ends, np.arange(0, blocks, together)))])

    def batch(self, start: int, stop: int) -> tuple[list[torch.Tensor], torch.Tensor | WeightedTargets]:
        """Return the rows from index `start` to `stop` of the order of the epoch: inputs (N, …) and targets (N, …)."""
        import torch

        parts: list[tuple[list[torch.Tensor], torch.Tensor | WeightedTargets]] = []
        row = start
        while row < stop:  # a batch can begin in one buffer and end in the next
            group = int(np.searchsorted(self._bounds, row, side="right")) - 1
            inputs, target = self._group(group)
            low = int(self._bounds[group])
            part = slice(row - low, min(stop - low, len(target)))
            parts.append(([value[part] for value in inputs], target[part]))
            row = low + part.stop
        if len(parts) == 1:
            return parts[0]
        inputs = [torch.cat(values) for values in zip(*(inputs for inputs, _ in parts), strict=True)]
        targets = [target for _, target in parts]
        if isinstance(targets[0], WeightedTargets):
            weighted_parts = [
                targets_of_part for targets_of_part in targets if isinstance(targets_of_part, WeightedTargets)
            ]
            plain = torch.cat([targets_of_part.target for targets_of_part in weighted_parts])  # type: ignore[misc]
            return inputs, WeightedTargets(
                plain, torch.cat([targets_of_part.weights for targets_of_part in weighted_parts])
            )
        return inputs, torch.cat(targets)  # type: ignore[arg-type]

    def take(self, rows: np.ndarray) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Return rows by index: their inputs in the order of the fields, and their targets."""
        inputs = take(self.data, self.fields, rows)
        # The target of a reconstruction is one of the inputs, which is not read from its file a second time.
        target = next((inputs[name] for name in self.fields if self.data.inputs[name] is self.target), None)
        if target is None:
            target = self._target(rows)
        return [inputs[name].to(self.device) for name in self.fields], target.to(self.device)

    def _target(self, rows: np.ndarray) -> torch.Tensor:
        import torch

        for name, values in self.data.inputs.items():
            if values is self.target:
                return take(self.data, [name], rows)[name]
        return self.target[torch.from_numpy(rows.astype(np.int64, copy=False))]

    def _group(self, group: int) -> tuple[list[torch.Tensor], torch.Tensor | WeightedTargets]:
        """Return a buffer of shuffled blocks: inputs (N, …) by field, and targets (N, …)."""
        import torch

        if self._buffered is not None and self._buffered[0] == group:
            return self._buffered[1:]
        self._buffered = None  # free the previous buffer before the next one is read
        if len(self.rows) <= self._buffer:  # as `BatchLoader` shuffles data in memory
            order = torch.randperm(len(self.rows), generator=torch.Generator().manual_seed(self._seed)).numpy()
            rows = self.rows[order]
        else:
            together = max(1, self._buffer // self._block)
            blocks = self._drawn[group * together : (group + 1) * together]
            rows = np.concatenate(
                [self.rows[block * self._block : (block + 1) * self._block] for block in blocks.tolist()]
            )
            seed = (self._seed * 1_000_003 + group + 1) % _MODULUS
            rows = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed)).numpy()]
        inputs, target = self.take(rows)
        goal: torch.Tensor | WeightedTargets = target
        if self.weights is not None:
            goal = WeightedTargets(target, self.weights[torch.from_numpy(rows.astype(np.int64))].to(self.device))
        self._buffered = group, inputs, goal
        return inputs, goal


def row_bytes(data: Prepared) -> int:
    """Return the size of a row in bytes."""
    return max(1, sum(file.row_bytes for file in data.files.values()))


def evaluation_rows(data: Prepared, split: str) -> torch.Tensor:
    """Return the rows of a split for metrics: all, or for data larger than memory, an even selection that fits into
    a buffer."""
    rows = data.split[split]
    step = -(-len(rows) * row_bytes(data) // BUFFER_BYTES) if data.files else 1
    return rows[:: max(1, step)]


def take(data: Prepared, fields: Sequence[str], rows: np.ndarray) -> dict[str, torch.Tensor]:
    """Return rows of fields by index, from memory or from files."""
    import torch

    return {
        name: torch.from_numpy(_read_rows(data.files[name], rows))
        if name in data.files
        else data.inputs[name][torch.from_numpy(rows.astype(np.int64, copy=False))]
        for name in fields
    }


def _read_rows(file: Mapped, rows: np.ndarray) -> np.ndarray:
    """Read rows of a file in its order, in contiguous ranges, and return them in the requested order, (N, …)."""
    order = np.argsort(rows, kind="stable")
    sorted_rows = rows[order].astype(np.int64, copy=False)
    gathered = np.empty((len(rows), *file.shape[1:]), file.dtype)
    size = max(1, file.row_bytes)
    # Positions in `sorted_rows` at which a new read begins, because the gap before them is too wide
    breaks = np.append(np.flatnonzero(np.diff(sorted_rows) > max(1, GAP_BYTES // size)) + 1, len(sorted_rows))
    start, at = 0, 0
    while start < len(sorted_rows):
        while breaks[at] <= start:
            at += 1
        low = int(sorted_rows[start])
        end = min(int(breaks[at]), int(np.searchsorted(sorted_rows, low + max(1, READ_BYTES // size))))
        part = file.read(low, int(sorted_rows[end - 1]) + 1)
        gathered[order[start:end]] = part[sorted_rows[start:end] - low]
        start = end
    return gathered
