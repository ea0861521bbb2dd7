"""The tables. A new database gets them directly; `migrations/` bring an older one to this state. A test compares
both."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

HEAD = "0005"
# The table in which Alembic stores its version, as Alembic creates it.
version = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Moment(TypeDecorator[datetime]):
    """A point in time, always in UTC, also on SQLite, which does not store time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


class Words(TypeDecorator[str]):
    """Text from users. Characters that databases cannot store (NUL, half of a surrogate pair) are replaced."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return value and _UNKEEPABLE.sub("\ufffd", value)


_UNKEEPABLE = re.compile("[\0\ud800-\udfff]")


# SQLite numbers rows automatically only if the key is a plain INTEGER.
RowId = BigInteger().with_variant(Integer, "sqlite")

projects = Table(
    "projects",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", Words, nullable=False),
    Column("document", Text, nullable=False),
    Column("epoch", String(64), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("acks", Text, nullable=False),
    Column("stamp", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False, index=True),
)

versions = Table(
    "versions",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("project_id", String(36), ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("name", Words, nullable=False, default=""),
    Column("document", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("project_id", "number"),
)

runs = Table(
    "runs",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(36), ForeignKey("projects.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("title", Words, nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("reason", Words, nullable=False, default=""),
    Column("pid", Integer),
    Column("epoch", Integer, nullable=False, default=0),
    Column("step", BigInteger, nullable=False, default=0),
    Column("total_steps", BigInteger, nullable=False, default=0),
    Column("summary", Text, nullable=False, default="{}"),
    Column("created_at", Moment, nullable=False, index=True),
    Column("started_at", Moment),
    Column("ended_at", Moment),
    Column("heartbeat_at", Moment),
    # The owner, whose turn in the queue it takes; its device ("cpu", "cuda", "auto"), and the number of its GPU.
    Column("owner", String(64), nullable=False, server_default=text("''")),
    Column("device", String(16), nullable=False, server_default="auto"),
    Column("gpu", Integer),
    Column("queued_at", Moment),
    # The process whose random word is here starts the worker, and no other process does.
    Column("claim", String(36)),
    Column("claimed_at", Moment),
    Column("notes", Words, nullable=False, server_default=text("''")),
    Column("tags", Words, nullable=False, server_default="[]"),
    Column("about", Text, nullable=False, server_default="{}"),
    Column("sweep_id", String(36), index=True),
    # The machine whose process `pid` is.
    Column("host", String(128)),
    Index("ix_runs_owner_claimed_at", "owner", "claimed_at"),
)

sweeps = Table(
    "sweeps",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(36), ForeignKey("projects.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("title", Words, nullable=False),
    Column("owner", String(64), nullable=False, server_default=text("''")),
    Column("state", String(16), nullable=False, index=True),
    Column("reason", Words, nullable=False, default=""),
    Column("document", Text, nullable=False),
    Column("plan", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("ended_at", Moment),
)

trials = Table(
    "trials",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("sweep_id", String(36), ForeignKey("sweeps.id", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("run_id", String(36), ForeignKey("runs.id", ondelete="SET NULL"), index=True),
    Column("state", String(16), nullable=False),
    Column("assigned", Text, nullable=False),
    Column("value", Float),
    Column("reason", Words, nullable=False, default=""),
    # Of two processes that request the next trial at once, only one can create it.
    UniqueConstraint("sweep_id", "number"),
)

points = Table(
    "points",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("run_id", String(36), ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("split", String(16), nullable=False),
    Column("name", String(64), nullable=False),
    Column("value", Float, nullable=False),
    Column("at", Float, nullable=False),
    Index(None, "run_id", "id"),
    Index(None, "run_id", "step"),
    # Without AUTOINCREMENT, SQLite would reuse the row numbers of points that a resumed run deleted, and readers would
    # miss the new ones.
    sqlite_autoincrement=True,
)

commands = Table(
    "commands",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("run_id", String(36), ForeignKey("runs.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("kind", String(32), nullable=False),
    Column("value", Float),
    Column("text", String(64), nullable=False, server_default=text("''")),
    Column("created_at", Moment, nullable=False),
)

library = Table(
    "library",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("document", Text, nullable=False),
    Column("summary", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
)

# Earlier versions in the library; `created_at` is their time of publication.
library_versions = Table(
    "library_versions",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("library_id", RowId, ForeignKey("library.id", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("document", Text, nullable=False),
    Column("summary", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("library_id", "number"),
)
