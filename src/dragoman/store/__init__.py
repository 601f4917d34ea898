"""The store: SQL tables and the plain functions that read and write them.

Purpose: one schema for SQLite (the default, one process) and PostgreSQL (several), opened by ``engine``, brought up to
date by ``schema``, and used through functions that take a ``Connection``: ``accounts`` (users, keys), ``channels``
(groups, channels, prices), ``records`` (call log, vendor ids, housekeeping), ``publish`` (what the data plane loads and
the change feed it follows), ``reconcile`` (the configuration file as rows), ``vault`` (secrets at rest).

Invariants
- Functions take a connection and never commit: the caller owns the transaction. On SQLite every write transaction
  belongs to the ledger's writer thread (``Book.run``).
- Balances are moved by ``ledger`` alone; this package creates accounts at zero and reads them.
- Every change of a key, user, group, channel or price writes a row to ``changes`` in the same transaction.
- Times are unix seconds. Money is integer nanos (10⁻⁹ USD), a multiple of 2 000.
- Upstream credentials are stored encrypted; client keys as HMAC, and encrypted when they may be shown again.
- Importing the package imports neither Alembic nor argon2.

Not here: prices' arithmetic (``core.money``), the ledger's rules (``ledger.core``), HTTP.
"""
