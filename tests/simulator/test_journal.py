from dragoman.simulator.journal import KEPT_BYTES, KEPT_REQUESTS, LARGE_BYTES, Entry, Journal, kept


def entry(serial: int) -> Entry:
    return Entry(
        serial=serial, method="POST", path="/p", query=b"a=1", headers=[(b"x", b"\xe9")], body=b"\x00{"
    )


def test_listing_carries_any_bytes() -> None:
    journal = Journal()
    journal.add(entry(1))
    [row] = journal.listing()
    assert (row["headers"], row["body"], row["query"], row["outcome"]) == (
        [["x", "é"]],
        "AHs=",
        "a=1",
        "open",
    )


def test_bounded_in_number_and_cleared() -> None:
    journal = Journal()
    for serial in range(KEPT_REQUESTS + 5):
        journal.add(entry(serial))
    assert [len(journal.listing()), journal.listing()[0]["serial"]] == [KEPT_REQUESTS, 5]
    journal.clear()
    assert journal.listing() == []


def test_large_bodies_are_kept_in_part() -> None:
    assert len(kept(b"x" * LARGE_BYTES)) == LARGE_BYTES
    assert len(kept(b"x" * (LARGE_BYTES + 1))) == KEPT_BYTES
