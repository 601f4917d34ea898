"""Revisions, oldest first by number. Each runs on SQLite and on PostgreSQL; a released one is never edited."""
