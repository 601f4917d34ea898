"""Alembic's environment, inside the package and run from code (``store.schema.migrate``): there is no ``alembic.ini``."""
