"""A small bank for the ledger's tests: users with wallets and keys, and commands with little typing."""

from __future__ import annotations

from msgspec import Struct
from sqlalchemy import Connection, Engine, text

from dragoman.ledger.audit import audit
from dragoman.ledger.book import Book
from dragoman.ledger.core import CallRecord, Credit, Hold, Post, Void
from dragoman.ledger.writer import Limits
from dragoman.store.accounts import create_key, create_user, get_key
from dragoman.store.vault import Vault

NOW = 1_790_000_000
QUICK = Limits(beat_s=0.05, retry_s=0.05, drain_s=5.0)
VAULT = Vault(b"0123456789abcdef0123456789abcdef")


class Client(Struct, frozen=True):
    """A user with a key."""

    user_id: int
    wallet_id: int
    key_id: int
    account_id: int

    def hold(self, hold_id: str, amount: int, now: float = NOW, **more: object) -> Hold:
        return Hold(
            id=hold_id,
            wallet_id=self.wallet_id,
            key_account_id=self.account_id,
            amount=amount,
            user_id=self.user_id,
            now=now,
            **more,
        )

    def record(self, request_id: str, now: float = NOW, **more: object) -> CallRecord:
        values = {
            "model": "gpt-5.4-mini",
            "model_asked": "gpt-5.4-mini",
            "channel_id": 3,
            "group": "default",
            "input_tokens": 1234,
            "output_tokens": 321,
            "latency_ms": 1234,
            "first_byte_ms": 321,
            "stream": True,
            "client_ip": "203.0.113.77",
            "client": "openai-python",
            "method": "POST",
            "path": "/v1/chat/completions",
            "status": 200,
            **more,
        }
        return CallRecord(
            request_id=request_id, created_at=int(now), user_id=self.user_id, key_id=self.key_id, **values
        )

    def post(self, hold_id: str, amount: int, now: float = NOW, **more: object) -> Post:
        return Post(id=hold_id, amount=amount, record=self.record(hold_id, now, **more), now=now)

    def void(self, hold_id: str, now: float = NOW) -> Void:
        return Void(id=hold_id, reason="test", record=self.record(hold_id, now, kind=5, status=500), now=now)


def open_client(connection: Connection, name: str = "ada", limit_nanos: int | None = None) -> Client:
    """A user with an empty wallet and one key."""
    user_id, wallet_id = create_user(connection, username=name, now=NOW)
    key_id, _ = create_key(connection, VAULT, user_id=user_id, name="main", now=NOW, limit_nanos=limit_nanos)
    key = get_key(connection, key_id)
    assert key is not None
    return Client(user_id, wallet_id, key_id, key.key_account_id)


async def funded(book: Book, nanos: int, name: str = "ada", limit_nanos: int | None = None) -> Client:
    """A user with money, through the writer."""
    client = await book.run(lambda c: open_client(c, name, limit_nanos))
    await book.credit(Credit(id=f"fund:{name}", wallet_id=client.wallet_id, amount=nanos, now=NOW))
    return client


def account(engine: Engine, account_id: int) -> dict[str, int]:
    """The stored row of an account."""
    with engine.connect() as connection:
        row = connection.execute(text("SELECT * FROM accounts WHERE id = :id"), {"id": account_id}).one()
    return dict(row._mapping)


def assert_clean(engine: Engine) -> None:
    """The audit finds nothing."""
    report = audit(engine)
    assert report.ok, report.findings
