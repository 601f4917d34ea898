"""The writer's inbox: order, nothing lost between threads, and who wakes whom."""

from __future__ import annotations

import threading
import time

from dragoman.ledger.inbox import Inbox

FOR_EVER_S = 60.0


def _waiting(inbox: Inbox[int], wait: str) -> tuple[threading.Thread, threading.Event]:
    """A thread that waits, and what tells that it stopped waiting."""
    awake = threading.Event()

    def sleep() -> None:
        getattr(inbox, wait)(FOR_EVER_S)
        awake.set()

    thread = threading.Thread(target=sleep, daemon=True)
    thread.start()
    return thread, awake


def test_items_come_out_in_the_order_they_were_put() -> None:
    inbox: Inbox[int] = Inbox()
    for i in range(10):
        inbox.put(i, urgent=i % 2 == 0)
    assert len(inbox) == 10
    assert inbox.take(4) == [0, 1, 2, 3]
    assert inbox.take(100) == [4, 5, 6, 7, 8, 9]
    assert inbox.take(1) == []


def test_any_item_wakes_who_waits_for_any() -> None:
    inbox: Inbox[int] = Inbox()
    thread, awake = _waiting(inbox, "wait")
    inbox.put(1, urgent=False)
    assert awake.wait(FOR_EVER_S)
    thread.join()


def test_only_an_urgent_item_wakes_who_waits_for_one() -> None:
    inbox: Inbox[int] = Inbox()
    thread, awake = _waiting(inbox, "wait_urgent")
    while inbox._awaited == 0:  # until it sleeps
        time.sleep(0)
    for i in range(100):
        inbox.put(i, urgent=False)
    assert not awake.is_set()
    inbox.put(100, urgent=True)
    assert awake.wait(FOR_EVER_S)
    thread.join()
    assert len(inbox.take(200)) == 101


def test_what_is_there_already_needs_no_waiting() -> None:
    inbox: Inbox[int] = Inbox()
    inbox.put(1, urgent=True)
    inbox.wait(FOR_EVER_S)
    inbox.wait_urgent(FOR_EVER_S)
    assert inbox.take(5) == [1]


def test_patience_ends() -> None:
    inbox: Inbox[int] = Inbox()
    inbox.put(1, urgent=False)
    inbox.wait_urgent(0.01)  # nobody will put an urgent one
    assert inbox.take(5) == [1]


def test_a_wake_up_that_came_too_late_does_not_end_the_next_wait() -> None:
    inbox: Inbox[int] = Inbox()
    inbox._awaited = 1  # as if the item came between the end of the time and the waking
    inbox.put(1, urgent=True)
    assert not inbox._sleep.locked()
    inbox.take(1)
    inbox.wait(0.0)
    assert inbox._sleep.locked()


def test_nothing_is_lost_or_left_asleep_with_many_threads() -> None:
    inbox: Inbox[tuple[int, int]] = Inbox()
    threads, each = 8, 2000

    def put(n: int) -> None:
        for i in range(each):
            inbox.put((n, i), urgent=i % 3 == 0)

    for n in range(threads):
        threading.Thread(target=put, args=(n,), daemon=True).start()
    seen: list[tuple[int, int]] = []
    until = time.monotonic() + FOR_EVER_S
    while len(seen) < threads * each:
        assert time.monotonic() < until
        inbox.wait(FOR_EVER_S)
        seen += inbox.take(64)
    for n in range(threads):
        assert [i for m, i in seen if m == n] == list(range(each))
