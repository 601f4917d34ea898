import os
import re

from hypothesis import given
from hypothesis import strategies as st

from dragoman.relay.ids import RequestIds, request_id


@given(
    st.floats(0, 4e9), st.floats(0, 4e9), st.binary(min_size=9, max_size=9), st.binary(min_size=9, max_size=9)
)
def test_ids_sort_by_time_and_have_the_documented_form(a: float, b: float, x: bytes, y: bytes) -> None:
    first, second = request_id(a, x), request_id(b, y)
    assert re.fullmatch(r"req_[a-z2-7]{24}", first)
    if int(a * 1000) < int(b * 1000):
        assert first < second


def test_ids_of_one_moment_differ() -> None:
    assert len({request_id(1_700_000_000.0, os.urandom(9)) for _ in range(10_000)}) == 10_000


def test_ids_in_stock_are_fresh_in_time_and_each_is_given_once() -> None:
    asked: list[int] = []
    times = iter(range(1_700_000_000, 1_700_001_000))

    def entropy(count: int) -> bytes:
        asked.append(count)
        return os.urandom(count)

    new_id = RequestIds(lambda: float(next(times)), entropy)
    ids = [new_id() for _ in range(1000)]
    assert len({i[-14:] for i in ids}) == 1000 and ids == sorted(ids)
    assert len(asked) < 10
