"""The points of the curves of runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, insert, select

from netloom.store.database import Database
from netloom.store.schema import points
from netloom.store.states import check_claim

# SQLite limits the number of parameters of a statement.
_IDS_AT_ONCE = 500
# step, epoch, split, name, value, seconds since 1970
Point = tuple[int, int, str, str, float, float]


@dataclass(frozen=True)
class Points:
    """Points of curves, by column. Pass `last`, a row number, to the next call to continue after it."""

    step: list[int]
    epoch: list[int]
    split: list[str]
    name: list[str]
    value: list[float]
    at: list[float]
    last: int


class Curves:
    """The part of the store for the points of curves."""

    db: Database

    def add_points(self, run_id: str, rows: Sequence[Point], *, holding: str | None = None) -> None:
        """Append points to the curves of a run, all or none. NaN and infinite values are skipped.

        Raises:
            ClaimLostError: the claim `holding` is not valid any more; nothing was added.
        """
        values = [
            {
                "run_id": run_id,
                "step": row[0],
                "epoch": row[1],
                "split": row[2],
                "name": row[3],
                "value": row[4],
                "at": row[5],
            }
            for row in rows
            if math.isfinite(row[4])  # SQLite stores NaN as NULL, which the column refuses
        ]
        if values:
            with self.db.writing() as connection:
                if holding is not None:
                    check_claim(connection, run_id, holding)
                connection.execute(insert(points), values)

    def points(self, run_id: str, after: int = 0) -> Points:
        """Return the points that were added after row `after`, in order."""
        query = (
            select(
                points.c.step, points.c.epoch, points.c.split, points.c.name, points.c.value, points.c.at, points.c.id
            )
            .where(points.c.run_id == run_id, points.c.id > after)
            .order_by(points.c.id)
        )
        with self.db.reading() as connection:
            rows = connection.execute(query).all()
        step, epoch, split, name, value, at, ids = zip(*rows, strict=True) if rows else ((),) * 7
        return Points(
            list(step), list(epoch), list(split), list(name), list(value), list(at), ids[-1] if ids else after
        )

    def curves(
        self, run_ids: Sequence[str], name: str, split: str = "validation"
    ) -> dict[str, list[tuple[int, float]]]:
        """Return the epochs and values of one metric for several runs."""
        curves_by_run: dict[str, list[tuple[int, float]]] = {run_id: [] for run_id in run_ids}
        with self.db.reading() as connection:
            for start in range(0, len(run_ids), _IDS_AT_ONCE):
                part = list(run_ids[start : start + _IDS_AT_ONCE])
                query = select(points.c.run_id, points.c.epoch, points.c.value).order_by(points.c.id)
                query = query.where(points.c.run_id.in_(part), points.c.split == split, points.c.name == name)
                for row in connection.execute(query):
                    curves_by_run[row.run_id].append((row.epoch, row.value))
        return curves_by_run

    def drop_points_after(self, run_id: str, step: int, *, holding: str | None = None) -> None:
        """Delete the points after `step`, so that a resumed run writes them again without duplicates.

        Raises:
            ClaimLostError: the claim `holding` is not valid any more; nothing was deleted.
        """
        with self.db.writing() as connection:
            if holding is not None:
                check_claim(connection, run_id, holding)
            connection.execute(delete(points).where(points.c.run_id == run_id, points.c.step > step))
