"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create everything; the same on both databases but for triggers, partitions and storage settings."""
    _people()
    _supply()
    _ledger()
    _records()
    # System accounts (funding, revenue): named by transfers, without a stored balance.
    op.execute("INSERT INTO accounts (id, kind, created_at) VALUES (1, 1, 0), (2, 1, 0)")
    op.execute("INSERT INTO groups (name) VALUES ('default')")
    if op.get_bind().dialect.name == "sqlite":
        _sqlite_only()
    else:
        _postgresql_only()


def _sqlite_only() -> None:
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER transfers_no_{verb.lower()} BEFORE {verb} ON transfers "
            "BEGIN SELECT RAISE(ABORT, 'transfers are immutable'); END"
        )


def _postgresql_only() -> None:
    op.execute(
        "CREATE FUNCTION dragoman_immutable() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'transfers are immutable'; END $$"
    )
    op.execute(
        "CREATE TRIGGER transfers_immutable BEFORE UPDATE OR DELETE ON transfers "
        "FOR EACH ROW EXECUTE FUNCTION dragoman_immutable()"
    )
    op.execute("SELECT setval(pg_get_serial_sequence('accounts', 'id'), 2)")
    for table in ("call_logs", "call_details"):
        # Rows of a month whose partition is missing land here; the months themselves are created by ensure_partitions.
        op.execute(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT")
    # Room on each page for the next version of a balance (no index is touched); quick cleaning of the hot tables.
    op.execute("ALTER TABLE accounts SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01)")
    op.execute(
        "ALTER TABLE holds SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000)"
    )


def _people() -> None:
    """Accounts, and who owns them."""
    op.create_table(
        "accounts",
        sa.Column("id", Id, nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("balance_nanos", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("held_nanos", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("used_nanos", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("limit_nanos", sa.BigInteger()),
        sa.Column("request_count", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("hold_count", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("last_used_at", sa.BigInteger()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
        sa.CheckConstraint("held_nanos >= 0", name="ck_accounts_held"),
    )
    op.create_table(
        "users",
        sa.Column("id", Id, nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text()),
        sa.Column("password_mark", sa.LargeBinary()),
        sa.Column("role", sa.Text(), nullable=False, server_default=sa.text("'user'")),
        sa.Column("status", sa.SmallInteger(), nullable=False, server_default=sa.text("1")),
        sa.Column("grp", sa.Text(), nullable=False, server_default=sa.text("'default'")),
        sa.Column("wallet_id", Id, nullable=False),
        sa.Column("access_lookup", sa.LargeBinary()),
        sa.Column("source", sa.Text(), nullable=False, server_default=sa.text("'console'")),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.ForeignKeyConstraint(["wallet_id"], ["accounts.id"], name="fk_users_wallet_id"),
        sa.UniqueConstraint("access_lookup", name="uq_users_access_lookup"),
        sa.UniqueConstraint("username", name="uq_users_username"),
    )
    op.create_table(
        "keys",
        sa.Column("id", Id, nullable=False),
        sa.Column("user_id", Id, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("lookup", sa.LargeBinary(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("cipher", sa.LargeBinary()),
        sa.Column("status", sa.SmallInteger(), nullable=False, server_default=sa.text("1")),
        sa.Column("expires_at", sa.BigInteger()),
        sa.Column("grp", sa.Text()),
        sa.Column("models", sa.Text()),
        sa.Column("models_enabled", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.Column("allow_ips", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.Column("account_id", Id, nullable=False),
        sa.Column("source", sa.Text(), nullable=False, server_default=sa.text("'console'")),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_keys_account_id"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_keys_user_id"),
        sa.UniqueConstraint("lookup", name="uq_keys_lookup"),
    )
    op.create_index("ix_keys_user_id", "keys", ["user_id"])


def _supply() -> None:
    """What is served, by whom, at what price."""
    op.create_table(
        "groups",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("multiplier", sa.Text(), nullable=False, server_default=sa.text("'1.0'")),
        sa.Column("hold", sa.Text(), nullable=False, server_default=sa.text("'expected'")),
        sa.Column("options", sa.Text(), nullable=False, server_default=sa.text("'{}'")),
        sa.Column("status", sa.SmallInteger(), nullable=False, server_default=sa.text("1")),
        sa.Column("source", sa.Text(), nullable=False, server_default=sa.text("'console'")),
        sa.PrimaryKeyConstraint("name", name="pk_groups"),
    )
    op.create_table(
        "channels",
        sa.Column("id", Id, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("base_url", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.Column("label", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.Column("models", sa.Text(), nullable=False, server_default=sa.text("'[]'")),
        sa.Column("groups", sa.Text(), nullable=False, server_default=sa.text("'[]'")),
        sa.Column("dialects", sa.Text(), nullable=False, server_default=sa.text("'[]'")),
        sa.Column("model_map", sa.Text(), nullable=False, server_default=sa.text("'{}'")),
        sa.Column("headers", sa.Text(), nullable=False, server_default=sa.text("'{}'")),
        sa.Column("drop_params", sa.Text(), nullable=False, server_default=sa.text("'[]'")),
        sa.Column("options", sa.Text(), nullable=False, server_default=sa.text("'{}'")),
        sa.Column("priority", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("weight", sa.Integer(), nullable=False, server_default=sa.text("1")),
        sa.Column("proxy", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.Column("cost_multiplier", sa.Text(), nullable=False, server_default=sa.text("'1.0'")),
        sa.Column("status", sa.SmallInteger(), nullable=False, server_default=sa.text("1")),
        sa.Column("source", sa.Text(), nullable=False, server_default=sa.text("'console'")),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_channels"),
        sa.UniqueConstraint("name", name="uq_channels_name"),
    )
    op.create_table(
        "channel_credentials",
        sa.Column("channel_id", Id, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("lookup", sa.LargeBinary(), nullable=False),
        sa.Column("cipher", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("channel_id", "position", name="pk_channel_credentials"),
        sa.ForeignKeyConstraint(["channel_id"], ["channels.id"], name="fk_channel_credentials_channel_id"),
    )
    op.create_table(
        "prices",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("input", sa.Text()),
        sa.Column("cached_input", sa.Text()),
        sa.Column("cache_write_5m", sa.Text()),
        sa.Column("cache_write_1h", sa.Text()),
        sa.Column("output", sa.Text()),
        sa.Column("reasoning", sa.Text()),
        sa.Column("per_request", sa.Text()),
        sa.Column("extra", sa.Text(), nullable=False, server_default=sa.text("'{}'")),
        sa.Column("status", sa.SmallInteger(), nullable=False, server_default=sa.text("1")),
        sa.Column("source", sa.Text(), nullable=False, server_default=sa.text("'console'")),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("model", "version", name="pk_prices"),
    )


def _ledger() -> None:
    """The movements of money."""
    op.create_table(
        "holds",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("wallet_id", sa.BigInteger(), nullable=False),
        sa.Column("key_account_id", sa.BigInteger()),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("lease_id", sa.BigInteger()),
        sa.Column("deadline", sa.BigInteger()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_holds"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "transfers",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("debit_id", sa.BigInteger(), nullable=False),
        sa.Column("credit_id", sa.BigInteger(), nullable=False),
        sa.Column("key_account_id", sa.BigInteger()),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger()),
        sa.Column("log_at", sa.BigInteger()),
        sa.Column("ref", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_transfers"),
        sa.CheckConstraint("amount >= 0", name="ck_transfers_amount"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_transfers_refund",
        "transfers",
        ["ref"],
        sqlite_where=sa.text("kind = 6"),
        postgresql_where=sa.text("kind = 6"),
    )
    op.create_table(
        "leases",
        sa.Column("id", Id, nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("started_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_leases"),
    )


def _records() -> None:
    """What was called, and the small registers."""
    op.create_table(
        "call_logs",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("key_id", sa.BigInteger()),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("model_asked", sa.Text()),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("channel_id", sa.BigInteger()),
        sa.Column("grp", sa.Text(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cached_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cache_write_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("reasoning_tokens", sa.BigInteger(), nullable=False),
        sa.Column("quota", sa.BigInteger(), nullable=False),
        sa.Column("nanos", sa.BigInteger(), nullable=False),
        sa.Column("latency_ms", sa.Integer(), nullable=False),
        sa.Column("first_byte_ms", sa.Integer()),
        sa.Column("stream", sa.Boolean(), nullable=False),
        sa.Column("client_ip", sa.Text(), nullable=False),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("estimated", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("request_id", "created_at", name="pk_call_logs"),
        postgresql_partition_by="RANGE (created_at)",
    )
    op.create_index("ix_call_logs_user_id_created_at", "call_logs", ["user_id", "created_at"])
    op.create_table(
        "call_details",
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("detail", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("created_at", "request_id", name="pk_call_details"),
        sqlite_with_rowid=False,
        postgresql_partition_by="RANGE (created_at)",
    )
    op.create_table(
        "vendor_ids",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("channel_id", sa.BigInteger(), nullable=False),
        sa.Column("credential", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "id", name="pk_vendor_ids"),
    )
    op.create_table(
        "changes",
        sa.Column("seq", Id, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_changes"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "meta",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_meta"),
    )
