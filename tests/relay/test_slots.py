"""A bound on what one key has under way."""

from __future__ import annotations

from dragoman.relay.slots import CountSlots


def test_a_key_has_so_many_slots_and_others_have_their_own() -> None:
    slots = CountSlots(2, 1.0)
    assert [slots.take(1), slots.take(1), slots.take(1)] == [True, True, False]
    assert slots.take(2)
    slots.give(1)
    assert slots.take(1) and not slots.take(1)


def test_no_slots_means_none_for_anybody() -> None:
    assert not CountSlots(0, 1.0).take(1)
