"""Which states of a document are kept as versions, and for how long."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import Connection, delete, exists, insert, select, update

from netloom.store.schema import versions

# How a document came to be what is saved: by edits, with another document put in its place, or by Undo and Redo alone.
Change = Literal["edit", "replacement", "travel"]

# Edits that follow each other this quickly share a version.
EVERY = timedelta(seconds=30)
# Versions without a name: for so long all of them, then the last of each hour, then the last of each day.
ALL_FOR, HOURLY_FOR, DAILY_FOR = timedelta(hours=1), timedelta(days=1), timedelta(days=365)
# So many of the newest stay however old they are: after a year one comes back to more than the last edit.
ALWAYS = 10


@dataclass(frozen=True)
class Saved:
    """A document as it stands in the store, and since when."""

    document: str
    at: datetime


def record(
    connection: Connection, project_id: str, text: str, now: datetime, change: Change, before: Saved | None = None
) -> None:
    """Keep a version of what is saved over `before`, unless the last one is too recent for another.

    The newest version is what is being worked on and follows it for a while. It never takes the place of a state that
    people left, by Undo or by putting an older version back: that state stays.
    """
    if change == "travel":
        return  # what it leaves and what it comes back to are both of the same history
    mine = versions.c.project_id == project_id
    newest = connection.execute(select(versions).where(mine).order_by(versions.c.number.desc()).limit(1)).first()
    if newest and newest.document == text:
        return
    # The first one and those that people named were made by them, not by the clock.
    by_clock = mine, versions.c.name == "", versions.c.number > 1
    last = connection.execute(
        select(versions.c.id, versions.c.created_at).where(*by_clock).order_by(versions.c.number.desc()).limit(1)
    ).first()
    if last and timedelta(0) <= now - last.created_at < EVERY:  # a clock may have been put back
        goes_on = newest and before and newest.id == last.id and newest.document == before.document
        if goes_on and change == "edit":
            connection.execute(update(versions).where(versions.c.id == last.id).values(document=text))
        return
    number = newest.number if newest else 0
    if newest and before and newest.document != before.document:
        # Nothing was kept of what is left now, as it came too soon after another version. It stood for a while since.
        at = max(before.at, last.created_at + EVERY) if last else before.at
        if now - at >= EVERY and not _is_kept(connection, project_id, before.document):
            number += 1
            append(connection, project_id, number, before.document, at)
    append(connection, project_id, number + 1, text, now)
    _thin(connection, project_id, now)


def append(connection: Connection, project_id: str, number: int, text: str, now: datetime, name: str = "") -> None:
    """Add a version."""
    connection.execute(
        insert(versions).values(project_id=project_id, number=number, name=name, document=text, created_at=now)
    )


def _is_kept(connection: Connection, project_id: str, text: str) -> bool:
    same = exists().where(versions.c.project_id == project_id, versions.c.document == text)
    return bool(connection.execute(select(same)).scalar())


def _thin(connection: Connection, project_id: str, now: datetime) -> None:
    unnamed = versions.c.project_id == project_id, versions.c.name == ""
    query = select(versions.c.number, versions.c.created_at).where(*unnamed).order_by(versions.c.number.desc())
    gone = outdated(((row.number, row.created_at) for row in connection.execute(query)), now)
    if gone:
        connection.execute(delete(versions).where(*unnamed, versions.c.number.in_(gone)))


def outdated(rows: Iterable[tuple[int, datetime]], now: datetime) -> list[int]:
    """Of versions without a name, the newest first with their times, the numbers of those that are kept no longer.

    Hours and days are those of the calendar, so that the same ones stay however often this is asked.
    """
    spans: set[tuple[str, int]] = set()
    outdated_numbers: list[int] = []
    for position, (number, at) in enumerate(rows):
        age, seconds = now - at, int(at.timestamp())
        if age <= ALL_FOR or position < ALWAYS:
            continue
        span = ("hour", seconds // 3_600) if age <= HOURLY_FOR else ("day", seconds // 86_400)
        if age > DAILY_FOR or span in spans:
            outdated_numbers.append(number)
        spans.add(span)
    return outdated_numbers
