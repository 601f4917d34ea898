"""Run in a process of its own: holds and posts until killed, or a fixed number of holds.

``load.py URL DIR forever TAG``  every id whose post was answered is printed, a line each
``load.py URL DIR holds N TAG``  tries N holds on the shared wallet at once, prints how many stood, posts them
"""

from __future__ import annotations

import asyncio
import json
import sys
from itertools import count

from tests.ledger.bank import Client

from dragoman.ledger.book import Book
from dragoman.ledger.core import Held
from dragoman.ledger.writer import Limits
from dragoman.store.engine import open_engine


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def forever(book: Book, client: Client, tag: str) -> None:
    numbers = count()

    async def calls() -> None:
        for n in numbers:
            hold_id = f"{tag}-{n}"
            held = await book.hold(client.hold(hold_id, 20_000))
            assert isinstance(held, Held), held
            if n % 7 == 3:
                await asyncio.sleep(3600)  # a call that is still running when the process dies
            if n % 5 == 0:
                await book.void(client.void(hold_id))
            else:
                await book.post(client.post(hold_id, 8_000, detail=b"{}"))
                say(hold_id)

    await asyncio.gather(*(calls() for _ in range(400)))


async def some(book: Book, client: Client, number: int, tag: str) -> None:
    say("ready")
    await asyncio.to_thread(sys.stdin.readline)
    results = await asyncio.gather(*(book.hold(client.hold(f"{tag}-{n}", 20_000)) for n in range(number)))
    held = [r.id for r in results if isinstance(r, Held)]
    await asyncio.gather(*(book.post(client.post(i, 20_000)) for i in held))
    say(str(len(held)))


async def main(url: str, directory: str, client: str, what: str, *rest: str) -> None:
    book = Book(open_engine(url, directory), limits=Limits(beat_s=0.1))
    await book.start()
    if what == "forever":
        await forever(book, Client(**json.loads(client)), *rest)
    else:
        await some(book, Client(**json.loads(client)), int(rest[0]), rest[1])
    await book.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
