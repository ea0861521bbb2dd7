"""Decides which states of a document are stored as versions, and for how long."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, Row, bindparam, delete, exists, func, insert, select, update

from netloom.store.schema import projects, versions

# How the document changed: by edits, by replacement with another document, or only by Undo and Redo.
Change = Literal["edit", "replacement", "travel"]

# Edits within this time share a version.
EVERY = timedelta(seconds=30)
# Unnamed versions: all are stored for the first period, then the last of each hour, then the last of each day.
ALL_FOR, HOURLY_FOR, DAILY_FOR = timedelta(hours=1), timedelta(days=1), timedelta(days=365)
# The newest ones are stored at any age, so that users who return after a year have more than the last edit.
ALWAYS = 10


# Built once, because every edit executes them and SQLAlchemy takes longer to build a statement than to run it.
_MINE = versions.c.project_id == bindparam("project")
_LAST = select(versions).where(_MINE).order_by(versions.c.number.desc()).limit(1)
_LAST_BY_CLOCK = _LAST.where(versions.c.name == "", versions.c.number > 1)
_REPLACE = update(versions).where(versions.c.id == bindparam("version")).values(document=bindparam("text"))


# The newest version of a project, for a query of the project that is joined with it: one statement less with each edit.
_numbers = versions.alias()
IS_NEWEST = (versions.c.project_id == projects.c.id) & (
    versions.c.number
    == select(func.max(_numbers.c.number)).where(_numbers.c.project_id == projects.c.id).scalar_subquery()
)
NEWEST_COLUMNS = tuple(column.label(f"newest_{column.name}") for column in versions.c if column.name != "project_id")


@dataclass(frozen=True)
class Saved:
    """A document in the store, and the time of its last change."""

    document: str
    at: datetime


@dataclass(frozen=True)
class Version:
    """A stored version of a document."""

    id: int
    number: int
    name: str
    document: str
    created_at: datetime

    @classmethod
    def newest(cls, row: Row[Any]) -> Version | None:
        """Return the newest version in a row with `NEWEST_COLUMNS`; None if the project has none."""
        if row.newest_id is None:
            return None
        return cls(row.newest_id, row.newest_number, row.newest_name, row.newest_document, row.newest_created_at)


def record(
    connection: Connection,
    project_id: str,
    text: str,
    saved_at: datetime,
    change: Change,
    before: Saved,
    newest: Version | None,
) -> None:
    """Store a version for a save over `before`, unless the last version, `newest`, is too recent.

    The newest version follows the current edits for a while. It never replaces a state that users left by Undo or by
    restoring an older version.
    """
    if change == "travel":
        return  # both states are part of the same history
    if newest and newest.document == text:
        return
    # The first version and named ones were created by users, not by the clock.
    is_by_clock = newest is not None and newest.name == "" and newest.number > 1
    last = newest if is_by_clock else connection.execute(_LAST_BY_CLOCK, {"project": project_id}).first()
    if last and timedelta(0) <= saved_at - last.created_at < EVERY:  # the clock can have been set back
        goes_on = newest and newest.id == last.id and newest.document == before.document
        if goes_on and change == "edit":
            connection.execute(_REPLACE, {"version": last.id, "text": text})
        return
    number = newest.number if newest else 0
    if newest and newest.document != before.document:
        # The replaced state has no version, because it followed another version too soon, but it was current for a
        # while since.
        at = max(before.at, last.created_at + EVERY) if last else before.at
        if saved_at - at >= EVERY and not _is_stored_version(connection, project_id, before.document):
            number += 1
            append(connection, project_id, number, before.document, at)
    append(connection, project_id, number + 1, text, saved_at)
    _thin(connection, project_id, saved_at)


def append(connection: Connection, project_id: str, number: int, text: str, saved_at: datetime, name: str = "") -> None:
    """Add a version."""
    connection.execute(
        insert(versions).values(project_id=project_id, number=number, name=name, document=text, created_at=saved_at)
    )


def _is_stored_version(connection: Connection, project_id: str, text: str) -> bool:
    same = exists().where(versions.c.project_id == project_id, versions.c.document == text)
    return bool(connection.execute(select(same)).scalar())


def _thin(connection: Connection, project_id: str, saved_at: datetime) -> None:
    unnamed = versions.c.project_id == project_id, versions.c.name == ""
    query = select(versions.c.number, versions.c.created_at).where(*unnamed).order_by(versions.c.number.desc())
    gone = outdated(((row.number, row.created_at) for row in connection.execute(query)), saved_at)
    if gone:
        connection.execute(delete(versions).where(*unnamed, versions.c.number.in_(gone)))


def outdated(rows: Iterable[tuple[int, datetime]], current_time: datetime) -> list[int]:
    """Return the numbers of unnamed versions to remove, from their numbers and times, newest first.

    Hours and days are those of the calendar, so that repeated calls keep the same versions.
    """
    spans: set[tuple[str, int]] = set()
    outdated_numbers: list[int] = []
    for position, (number, at) in enumerate(rows):
        age, seconds = current_time - at, int(at.timestamp())
        if age <= ALL_FOR or position < ALWAYS:
            continue
        span = ("hour", seconds // 3_600) if age <= HOURLY_FOR else ("day", seconds // 86_400)
        if age > DAILY_FOR or span in spans:
            outdated_numbers.append(number)
        spans.add(span)
    return outdated_numbers
