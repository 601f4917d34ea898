from dragoman.core.money import Price
from tests.routing.builders import OTHER, channel, snapshot


def test_wildcards_serve_but_are_not_listed() -> None:
    snap = snapshot(channel(1, ("gpt-4-gizmo-*", "m")), channel(2, ("z",), groups=("other",)))
    assert [c.id for c in snap.candidates("default", "gpt-4-gizmo-abc")] == [1]
    assert snap.models("default") == ["m"] and snap.models("other") == ["z"]
    assert snap.candidates("default", "M") == ()


def test_a_wildcard_is_listed_as_the_named_models_it_matches() -> None:
    named = {"gpt-5": "openai", "gpt-4o": "openai", "acme-1": "acme", "claude-x": "anthropic"}
    assert snapshot(channel(1, ("gpt-5*", "own")), named=named).models("default") == ["gpt-5", "own"]
    assert snapshot(channel(1, ("*",)), named=named).models("default") == ["acme-1"]


def test_an_exact_price_wins_over_a_wildcard_a_longer_one_over_a_shorter_and_all_over_the_default() -> None:
    exact, long, short, shipped = (Price(version=v, input=i) for i, v in enumerate("abcd"))
    snap = snapshot(prices={"gpt-5": exact, "gpt-5*": long, "*": short}, default_price=lambda m: shipped)
    assert snap.price("gpt-5") is exact and snap.price("gpt-5-mini") is long and snap.price("x") is short
    assert snapshot(prices={}, default_price=lambda m: shipped if m == "x" else None).price("x") is shipped
    assert snapshot(prices={}).price("x") is None


def test_memo_tables_are_bounded() -> None:
    snap = snapshot(channel(1, ("*",)), memo_limit=10)
    for i in range(100):
        snap.candidates("default", f"m{i}")
        snap.price(f"m{i}")
    assert len(snap._candidates) <= 10 and len(snap._price_memo) <= 10


def test_what_is_known_and_what_can_be_done() -> None:
    snap = snapshot(
        channel(1),
        channel(2, ("m", "c"), provider=OTHER),
        catalogue=("named",),
        prices={"p-*": Price(version="1")},
    )
    assert all(snap.knows(m) for m in ("m", "c", "named", "p-1")) and not snap.knows("x")
    assert snap.operations("default", "m") == {"chat", "messages"}


def test_a_model_map_gives_the_vendors_name() -> None:
    one = channel(1, model_map={"m": "vendor-m"})
    assert (one.upstream_model("m"), one.upstream_model("n")) == ("vendor-m", "n")
