"""Run by Alembic. The connection comes from ``store.schema``, in whose transaction and under whose lock all this happens."""

from __future__ import annotations

from alembic import context

from dragoman.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    compare_type=True,
)
context.run_migrations()
