"""Graphs whose label depends only on their edges."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from netloom.data.builtin_registry import Dataset, Rows
from netloom.data.multi_field import Matrices, MultiFieldDataset
from netloom.data.raw_dataset import RawDataset, RawTarget

_ATOMS = ("C", "N", "O", "S")
_C, _N, _O, _S = range(4)


class Molecules(Dataset):
    """Synthetic molecules. A molecule is reactive if an N is bonded to an O; each has two of both."""

    name = "molecules"
    example_count = 1500
    title = "Synthetic molecules"
    kind = "graph"
    task = "classification"
    summary = "Small graphs of atoms: predict whether an N is bonded to an O, which depends on the bonds"

    rows: Rows = Field(1500, description="Number of molecules")
    atoms: int = Field(10, ge=5, le=40, description="Number of atoms of each molecule")

    def read(self) -> RawDataset:
        random = np.random.default_rng(7)
        target = np.arange(self.rows) % 2
        kinds, bonds = zip(*(self._molecule(bool(label), random) for label in target), strict=True)
        elements, adjacency = np.stack(kinds), np.stack(bonds).astype(np.float64)
        names = tuple(
            " ".join(f"{atom_index} {_ATOMS[kind]}" for atom_index, kind in enumerate(row)) for row in elements
        )
        edges = tuple(", ".join(f"{a}–{b}" for a, b in np.argwhere(np.triu(row))) for row in adjacency)
        classes = ("stable", "reactive")
        target_fields: RawTarget = {
            "target": target,
            "target_kind": "class",
            "target_name": "reactivity",
            "classes": classes,
        }
        parts = (
            Matrices(name="atoms", values=np.eye(len(_ATOMS))[elements], words=names, **target_fields),
            Matrices(name="bonds", values=adjacency, words=edges, **target_fields),
        )
        return MultiFieldDataset(name="", parts=parts, **target_fields)

    def _molecule(self, is_reactive: bool, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return atom kinds (V,) and bonds (V, V): a tree with two additional bonds; an N and an O are bonded only if
        reactive."""
        while True:
            fillers = random.choice([_C, _S], self.atoms - 4)
            kinds = random.permutation([_N, _N, _O, _O, *fillers])
            bonds = np.zeros((self.atoms, self.atoms), dtype=bool)
            for index in range(1, self.atoms):
                bonds[index, random.integers(index)] = True
            for _ in range(2):
                atom, neighbor = random.choice(self.atoms, 2, replace=False)
                bonds[atom, neighbor] = True
            bonds |= bonds.T
            meets = bool(bonds[np.ix_(kinds == _N, kinds == _O)].any())
            if meets == is_reactive:
                return kinds, bonds
