"""Graphs whose label depends on what is joined to what, and on nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from netloom.data.builtin_registry import Dataset, Rows
from netloom.data.multi_field import Matrices, Several
from netloom.data.raw_dataset import RawDataset

_ATOMS = ("C", "N", "O", "S")
_C, _N, _O, _S = range(4)


class Molecules(Dataset):
    """Made-up molecules. One is reactive where an N is joined to an O; each has two of both."""

    name = "molecules"
    title = "Synthetic molecules"
    kind = "graph"
    task = "classification"
    summary = "Small graphs of atoms: predict whether an N is bonded to an O, which depends on the bonds"

    rows: Rows = Field(1500, description="How many molecules")
    atoms: int = Field(10, ge=5, le=40, description="How many atoms each has")

    def read(self) -> RawDataset:
        random = np.random.default_rng(7)
        target = np.arange(self.rows) % 2
        kinds, bonds = zip(*(self._molecule(bool(wanted), random) for wanted in target), strict=True)
        what, joined = np.stack(kinds), np.stack(bonds).astype(np.float64)
        names = tuple(" ".join(f"{place} {_ATOMS[kind]}" for place, kind in enumerate(row)) for row in what)
        edges = tuple(", ".join(f"{a}–{b}" for a, b in np.argwhere(np.triu(row))) for row in joined)
        rest: dict[str, Any] = {"target": target, "target_kind": "class", "classes": ("stable", "reactive")}
        parts = (
            Matrices(name="atoms", values=np.eye(len(_ATOMS))[what], words=names, **rest),
            Matrices(name="bonds", values=joined, words=edges, **rest),
        )
        return Several(name="", target_name="what it is", parts=parts, **rest)

    def _molecule(self, wanted: bool, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Kinds (V,) and bonds (V, V): a tree with two bonds more; an N and an O meet only where that is wanted."""
        while True:
            others = random.choice([_C, _S], self.atoms - 4)
            kinds = random.permutation([_N, _N, _O, _O, *others])
            bonds = np.zeros((self.atoms, self.atoms), dtype=bool)
            for place in range(1, self.atoms):
                bonds[place, random.integers(place)] = True
            for _ in range(2):
                one, other = random.choice(self.atoms, 2, replace=False)
                bonds[one, other] = True
            bonds |= bonds.T
            meets = bool(bonds[np.ix_(kinds == _N, kinds == _O)].any())
            if meets == wanted:
                return kinds, bonds
