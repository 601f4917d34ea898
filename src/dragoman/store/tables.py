"""The tables, once, for SQLite and PostgreSQL. The migrations create them; a test compares the two.

Hot tables: ``accounts`` (updated by delta), ``holds`` (a row lives as long as its hold is open), ``transfers``
(append-only, one row per resolution), ``call_logs`` (one short row a call) and ``call_details``. On PostgreSQL the
last two are partitioned by month over ``created_at``; on SQLite ``holds`` and ``transfers`` are single B-trees.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

# Autoincrementing 64-bit ids: on SQLite only a column of type INTEGER aliases the rowid.
Id = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# accounts.kind
SYSTEM, WALLET, KEY = 1, 2, 3
# System accounts: fixed ids, no stored balance (their balance is a sum over transfers).
FUNDING_ID, REVENUE_ID = 1, 2
# status of users, keys, groups, channels, credentials, prices
ENABLED, DISABLED = 1, 2
# source: who owns the row
CONSOLE, FILE = "console", "file"


def _required(name: str, kind: Any, default: str | None = None) -> Column[Any]:
    return Column(name, kind, nullable=False, server_default=None if default is None else text(default))


accounts = Table(
    "accounts",
    metadata,
    Column("id", Id, primary_key=True),
    _required("kind", SmallInteger),
    _required("balance_nanos", BigInteger, "0"),  # wallets: credits - posts + refunds; keys: always 0
    _required("held_nanos", BigInteger, "0"),
    _required("used_nanos", BigInteger, "0"),
    Column("limit_nanos", BigInteger),  # keys only; NULL = unlimited
    _required("request_count", BigInteger, "0"),  # posts
    _required("hold_count", BigInteger, "0"),  # holds ever admitted: open ones + resolutions
    Column("last_used_at", BigInteger),
    _required("created_at", BigInteger),
    CheckConstraint("held_nanos >= 0", name="held"),
)

users = Table(
    "users",
    metadata,
    Column("id", Id, primary_key=True),
    _required("username", Text),
    Column("password_hash", Text),
    Column("password_mark", LargeBinary),  # of a password declared in the file: tells whether it changed
    _required("role", Text, "'user'"),
    _required("status", SmallInteger, "1"),
    _required("grp", Text, "'default'"),
    Column("wallet_id", Id, ForeignKey("accounts.id"), nullable=False),
    Column("access_lookup", LargeBinary),
    _required("source", Text, "'console'"),
    _required("created_at", BigInteger),
    UniqueConstraint("username"),
    UniqueConstraint("access_lookup"),
)

keys = Table(
    "keys",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", Id, ForeignKey("users.id"), nullable=False, index=True),
    _required("name", Text),
    _required("lookup", LargeBinary),  # HMAC of the key's body
    _required("hint", Text),  # first and last characters, for display
    Column("cipher", LargeBinary),  # the key itself, encrypted; NULL when it is not to be shown again
    _required("status", SmallInteger, "1"),
    Column("expires_at", BigInteger),
    Column("grp", Text),  # NULL = the user's
    Column("models", Text),  # JSON array
    _required("models_enabled", Boolean, "false"),
    _required("allow_ips", Text, "''"),  # one a line
    _required("strict", Boolean, "false"),  # losses in translation are refused
    Column("account_id", Id, ForeignKey("accounts.id"), nullable=False),
    _required("source", Text, "'console'"),
    _required("created_at", BigInteger),
    Column("deleted_at", BigInteger),
    UniqueConstraint("lookup"),
)

groups = Table(
    "groups",
    metadata,
    Column("name", Text, primary_key=True),
    _required("multiplier", Text, "'1.0'"),
    _required("hold", Text, "'expected'"),
    _required("options", Text, "'{}'"),  # JSON
    _required("status", SmallInteger, "1"),
    _required("source", Text, "'console'"),
)

channels = Table(
    "channels",
    metadata,
    Column("id", Id, primary_key=True),
    _required("name", Text),
    _required("provider", Text),
    _required("base_url", Text, "''"),
    _required("label", Text, "''"),
    # JSON arrays and objects
    _required("models", Text, "'[]'"),
    _required("groups", Text, "'[]'"),
    _required("dialects", Text, "'[]'"),
    _required("model_map", Text, "'{}'"),
    _required("headers", Text, "'{}'"),
    _required("drop_params", Text, "'[]'"),
    _required("options", Text, "'{}'"),
    _required("priority", Integer, "0"),
    _required("weight", Integer, "1"),
    _required("proxy", Text, "''"),
    _required("cost_multiplier", Text, "'1.0'"),
    _required("translate", Boolean, "true"),
    _required("facts", Text, "'{}'"),  # JSON: what the operator knows about its models (core.facts)
    _required("status", SmallInteger, "1"),
    _required("source", Text, "'console'"),
    _required("created_at", BigInteger),
    UniqueConstraint("name"),
)

channel_credentials = Table(
    "channel_credentials",
    metadata,
    Column("channel_id", Id, ForeignKey("channels.id")),
    Column("position", Integer),
    _required("lookup", LargeBinary),  # HMAC, to recognise a credential without decrypting it
    _required("cipher", LargeBinary),
    PrimaryKeyConstraint("channel_id", "position"),
)

prices = Table(
    "prices",
    metadata,
    Column("model", Text),
    Column(
        "version", Integer
    ),  # rises by one with each change; old versions stay, for the log rows that name them
    Column("input", Text),
    Column("cached_input", Text),
    Column("cache_write_5m", Text),
    Column("cache_write_1h", Text),
    Column("output", Text),
    Column("reasoning", Text),
    Column("per_request", Text),
    _required("extra", Text, "'{}'"),  # JSON: prices that are stored for later builds
    _required("status", SmallInteger, "1"),
    _required("source", Text, "'console'"),
    _required("created_at", BigInteger),
    PrimaryKeyConstraint("model", "version"),
)

holds = Table(
    "holds",
    metadata,
    Column("id", Text, primary_key=True),
    _required("wallet_id", BigInteger),
    Column("key_account_id", BigInteger),
    _required("user_id", BigInteger),
    _required("amount", BigInteger),
    Column("lease_id", BigInteger),  # NULL: a task's hold, which expires at its deadline
    Column("deadline", BigInteger),
    _required("created_at", BigInteger),
    sqlite_with_rowid=False,
)

transfers = Table(
    "transfers",
    metadata,
    Column("id", Text, primary_key=True),  # of a resolution: the hold's id; of a late post: that + ":late"
    _required("kind", SmallInteger),  # see ledger.core
    _required("debit_id", BigInteger),
    _required("credit_id", BigInteger),
    Column("key_account_id", BigInteger),
    _required("amount", BigInteger),
    Column("held", BigInteger),  # what the resolved hold had reserved
    Column("log_at", BigInteger),  # created_at of the log row written with it; NULL when there is none
    Column("ref", Text),  # refund and late post: the hold's id; credit and void: a note
    _required("created_at", BigInteger),
    CheckConstraint("amount >= 0", name="amount"),
    sqlite_with_rowid=False,
)
Index(
    "ix_transfers_refund", transfers.c.ref, sqlite_where=text("kind = 6"), postgresql_where=text("kind = 6")
)

leases = Table(
    "leases",
    metadata,
    Column("id", Id, primary_key=True),
    _required("pid", Integer),
    _required("host", Text),
    _required("started_at", Float),
    _required("expires_at", Float),
)

call_logs = Table(
    "call_logs",
    metadata,
    _required("request_id", Text),
    _required("created_at", BigInteger),
    _required("user_id", BigInteger),
    Column("key_id", BigInteger),
    _required("kind", SmallInteger),
    Column("model_asked", Text),  # NULL: the same as model
    _required("model", Text),
    Column("channel_id", BigInteger),
    _required("grp", Text),
    _required("input_tokens", BigInteger),
    _required("cached_tokens", BigInteger),
    _required("cache_write_tokens", BigInteger),
    _required("output_tokens", BigInteger),
    _required("reasoning_tokens", BigInteger),
    _required("quota", BigInteger),
    _required("nanos", BigInteger),
    _required("latency_ms", Integer),
    Column("first_byte_ms", Integer),
    _required("stream", Boolean),
    _required("client_ip", Text),
    _required("client", Text),
    _required("method", Text),
    _required("path", Text),
    _required("status", SmallInteger),
    _required("estimated", Boolean),
    PrimaryKeyConstraint("request_id", "created_at"),
    Index("ix_call_logs_user_id_created_at", "user_id", "created_at"),
    postgresql_partition_by="RANGE (created_at)",
)

call_details = Table(
    "call_details",
    metadata,
    Column("created_at", BigInteger),
    Column("request_id", Text),
    _required("detail", LargeBinary),  # JSON
    PrimaryKeyConstraint("created_at", "request_id"),
    sqlite_with_rowid=False,
    postgresql_partition_by="RANGE (created_at)",
)

vendor_ids = Table(
    "vendor_ids",
    metadata,
    Column("kind", Text),
    Column("id", Text),
    _required("user_id", BigInteger),
    _required("channel_id", BigInteger),
    _required("credential", Integer),  # position in the channel's credentials
    _required("created_at", BigInteger),  # when an answer last named it, to within a day
    PrimaryKeyConstraint("kind", "id"),
    Index("ix_vendor_ids_created_at", "created_at"),  # for its retention
)

responses = Table(
    "responses",
    metadata,
    Column("id", Text, primary_key=True),
    _required("user_id", BigInteger),
    Column("parent_id", Text),
    _required("cipher", LargeBinary),  # JSON of the input items and the response, encrypted
    _required("created_at", BigInteger),
    Index("ix_responses_created_at", "created_at"),
)

changes = Table(
    "changes",
    metadata,
    Column("seq", Id, primary_key=True),
    _required("kind", Text),  # key, user, group, channel, price
    _required("id", Text),
    _required("created_at", BigInteger),
    sqlite_autoincrement=True,
)

meta = Table("meta", metadata, Column("name", Text, primary_key=True), _required("value", Text))

# Tables that PostgreSQL keeps in one partition a month.
PARTITIONED = ("call_logs", "call_details")
