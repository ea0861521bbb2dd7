"""The queue of runs, their notes and tags, and sweeps."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
MOMENT = sa.DateTime(timezone=True)
EMPTY = sa.text("''")
RUNS: list[tuple[str, Any, Any]] = [
    ("owner", sa.String(64), EMPTY),
    ("device", sa.String(16), "auto"),
    ("gpu", sa.Integer, None),
    ("queued_at", MOMENT, None),
    ("claim", sa.String(36), None),
    ("claimed_at", MOMENT, None),
    ("notes", sa.Text, EMPTY),
    ("tags", sa.Text, "[]"),
    ("about", sa.Text, "{}"),
    ("sweep_id", sa.String(36), None),
]


def upgrade() -> None:
    for name, kind, default in RUNS:
        op.add_column("runs", sa.Column(name, kind, nullable=default is None, server_default=default))
    op.create_index("ix_runs_sweep_id", "runs", ["sweep_id"])
    op.add_column("commands", sa.Column("text", sa.String(64), nullable=False, server_default=EMPTY))
    op.create_table(
        "sweeps",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(36), nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("owner", sa.String(64), nullable=False, server_default=EMPTY),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("plan", sa.Text, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_sweeps_project_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_sweeps"),
    )
    op.create_index("ix_sweeps_project_id", "sweeps", ["project_id"])
    op.create_index("ix_sweeps_state", "sweeps", ["state"])
    op.create_table(
        "trials",
        sa.Column("id", ROW_ID, nullable=False, autoincrement=True),
        sa.Column("sweep_id", sa.String(36), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("run_id", sa.String(36)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("assigned", sa.Text, nullable=False),
        sa.Column("value", sa.Float),
        sa.Column("reason", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(["sweep_id"], ["sweeps.id"], name="fk_trials_sweep_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_trials_run_id", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_trials"),
        sa.UniqueConstraint("sweep_id", "number", name="uq_trials_sweep_id_number"),
    )
    op.create_index("ix_trials_run_id", "trials", ["run_id"])


def downgrade() -> None:
    for table in ("trials", "sweeps"):
        op.drop_table(table)
    op.drop_column("commands", "text")
    op.drop_index("ix_runs_sweep_id", "runs")
    for name, _, _ in reversed(RUNS):
        op.drop_column("runs", name)
