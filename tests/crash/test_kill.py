"""``kill -9`` in the middle of load, on both databases: nothing answered is lost, nothing is charged twice, and what
was held is released. And four processes at one wallet on PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import text
from tests.ledger.bank import QUICK, account, assert_clean, funded

from dragoman.ledger.audit import audit
from dragoman.ledger.book import Book
from dragoman.ledger.core import LATE, POST
from dragoman.store.engine import StoreBusy, is_sqlite, open_engine

USD = 10**9
ROOT = Path(__file__).parent.parent.parent


@contextmanager
def process(url, directory, client, *arguments):
    """A load process; killed at the end if it still runs."""
    line = [sys.executable, str(Path(__file__).with_name("load.py")), url, str(directory)]
    environ = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}
    child = subprocess.Popen(
        [*line, json.dumps(msgspec.structs.asdict(client)), *arguments],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def with_book(engine, scenario):
    async def main():
        book = Book(engine, limits=QUICK)
        await book.start()
        try:
            return await scenario(book)
        finally:
            await book.close()

    return asyncio.run(main())


def posted(engine):
    with engine.connect() as connection:
        kinds = text(f"SELECT id FROM transfers WHERE kind IN ({POST}, {LATE})")
        return set(connection.execute(kinds).scalars())


def test_kill_nine_under_load(database_url, tmp_path):
    engine = open_engine(database_url, tmp_path)
    ada = with_book(engine, lambda book: funded(book, 1000 * USD))
    answered = []
    for round_ in range(3):
        with process(database_url, tmp_path, ada, "forever", f"round{round_}") as child:
            answered += [child.stdout.readline().strip() for _ in range(150 + 100 * round_)]
            child.send_signal(signal.SIGKILL)
            answered += [
                line.strip() for line in child.stdout.read().splitlines(keepends=True) if line.endswith("\n")
            ]
            child.wait()
        # Even before the restart the books are right: what is open is still held.
        report = audit(engine)
        assert report.ok, report.findings
        assert report.counts["open_holds"] > 0
        assert account(engine, ada.wallet_id)["held_nanos"] == report.counts["open_holds_nanos"]

    async def restart(book):
        async with asyncio.timeout(30):  # on PostgreSQL the server must notice the death first
            while account(engine, ada.wallet_id)["held_nanos"]:
                await asyncio.sleep(QUICK.beat_s)

    with_book(engine, restart)
    report = audit(engine)
    assert report.ok, report.findings
    assert report.counts["open_holds"] == 0
    assert report.counts["unbilled_holds"] > 0
    assert {e.reason for e in report.exposures} == {"process died"}
    assert set(answered) <= posted(engine)
    charged = report.counts["charged_nanos"]
    assert charged == 8_000 * len(posted(engine))
    assert account(engine, ada.wallet_id)["balance_nanos"] == 1000 * USD - charged
    engine.dispose()


def test_sqlite_orphans_are_resolved_at_start(sqlite_db, tmp_path):
    engine = open_engine(sqlite_db, tmp_path)
    ada = with_book(engine, lambda book: funded(book, USD))
    with process(sqlite_db, tmp_path, ada, "forever", "one") as child:
        child.stdout.readline()
        with pytest.raises(StoreBusy, match=str(child.pid)):
            with_book(engine, lambda book: funded(book, USD))
        child.kill()
        child.wait()

    async def look(book):
        assert book.stats()["expired"] > 0
        assert account(engine, ada.wallet_id)["held_nanos"] == 0

    with_book(engine, look)
    assert_clean(engine)
    engine.dispose()


def test_four_processes_at_one_wallet(postgres_url, tmp_path):
    engine = open_engine(postgres_url, tmp_path)
    assert not is_sqlite(engine)
    ada = with_book(engine, lambda book: funded(book, 50 * 20_000))
    with ExitStack() as stack:
        children = [
            stack.enter_context(process(postgres_url, tmp_path, ada, "holds", "50", f"p{n}"))
            for n in range(4)
        ]
        for child in children:
            assert child.stdout.readline() == "ready\n"
        for child in children:
            child.stdin.write("go\n")
        assert sum(int(child.stdout.readline()) for child in children) == 50
        for child in children:
            assert child.wait(30) == 0
    assert account(engine, ada.wallet_id)["balance_nanos"] == 0
    assert len(posted(engine)) == 50
    assert_clean(engine)
    engine.dispose()


def test_one_of_two_processes_dies_and_the_other_cleans_up(postgres_url, tmp_path):
    engine = open_engine(postgres_url, tmp_path)
    ada = with_book(engine, lambda book: funded(book, 1000 * USD))

    async def survive(book):
        mine = await book.hold(ada.hold("mine", 2_000))
        with process(postgres_url, tmp_path, ada, "forever", "other") as child:
            for _ in range(50):
                await asyncio.to_thread(child.stdout.readline)
            child.kill()
            child.wait()
        async with asyncio.timeout(30):
            while account(engine, ada.wallet_id)["held_nanos"] != mine.amount:
                await asyncio.sleep(QUICK.beat_s)
        assert (await book.post(ada.post("mine", 2_000))).kind == "post"

    with_book(engine, survive)
    assert_clean(engine)
    engine.dispose()
