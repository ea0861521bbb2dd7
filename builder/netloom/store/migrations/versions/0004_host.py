"""The machine of a run, and indexes for lists and for the queue."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("runs", sa.Column("host", sa.String(128), nullable=True))
    op.create_index("ix_runs_created_at", "runs", ["created_at"])
    op.create_index("ix_runs_owner_claimed_at", "runs", ["owner", "claimed_at"])


def downgrade() -> None:
    op.drop_index("ix_runs_owner_claimed_at", "runs")
    op.drop_index("ix_runs_created_at", "runs")
    op.drop_column("runs", "host")
