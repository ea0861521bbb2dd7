"""Alembic's entry: `netloom.store.database` hands over a connection inside the transaction that migrates."""

from __future__ import annotations

from alembic import context

from netloom.store.schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
context.run_migrations()
