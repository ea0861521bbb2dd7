"""Earlier versions of networks in the library."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "library_versions",
        sa.Column("id", ROW_ID, nullable=False, autoincrement=True),
        sa.Column("library_id", ROW_ID, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("summary", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_library_versions"),
        sa.ForeignKeyConstraint(
            ["library_id"], ["library.id"], name="fk_library_versions_library_id", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("library_id", "number", name="uq_library_versions_library_id_number"),
    )


def downgrade() -> None:
    op.drop_table("library_versions")
