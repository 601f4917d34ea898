"""The pure rules: tables of commands, and laws that hold after any sequence of them."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from dragoman.ledger.core import (
    FUNDING,
    LATE_SUFFIX,
    MAX_AMOUNT,
    REVENUE,
    UNIT,
    Account,
    CallRecord,
    Credit,
    Expire,
    Held,
    Hold,
    LedgerError,
    Log,
    Post,
    Refund,
    Refused,
    Resolution,
    State,
    Void,
    apply,
)

WALLET, KEY, LEASE = 10, 11, 7


def make(balance=0, limit=None):
    accounts = {WALLET: Account(WALLET, 2, balance, 0, 0), KEY: Account(KEY, 3, 0, 0, 0, limit)}
    return State(accounts, {}, {}, {}, LEASE)


def hold(hold_id, amount, **more):
    return Hold(id=hold_id, wallet_id=WALLET, key_account_id=KEY, amount=amount, user_id=1, now=5.5, **more)


def post(hold_id, amount):
    return Post(
        id=hold_id, amount=amount, record=CallRecord(request_id=hold_id, created_at=5, user_id=1), now=6.5
    )


def void(hold_id):
    return Void(id=hold_id, now=6.5)


def expire(hold_id):
    return Expire(id=hold_id, now=7.5)


def credit(credit_id, amount):
    return Credit(id=credit_id, wallet_id=WALLET, amount=amount, now=1.0)


def refund(refund_id, of, amount):
    return Refund(id=refund_id, of=of, amount=amount, now=8.0)


# name, balance, key limit, commands and what each answers
TABLE = [
    ("held and posted for less", 20_000, None, [(hold("a", 10_000), Held("a", 10_000)), (post("a", 4_000), Resolution("a", "post", 4_000))]),
    ("posted for more than held", 10_000, None, [(hold("a", 10_000), Held("a", 10_000)), (post("a", 14_000), Resolution("a", "post", 14_000)), (hold("b", 2_000), Refused("wallet", -4_000))]),
    ("exactly the balance", 10_000, None, [(hold("a", 10_000), Held("a", 10_000)), (hold("b", 2_000), Refused("wallet", 0))]),
    ("open holds count", 10_000, None, [(hold("a", 6_000), Held("a", 6_000)), (hold("b", 6_000), Refused("wallet", 4_000))]),
    ("a void gives back", 10_000, None, [(hold("a", 6_000), Held("a", 6_000)), (void("a"), Resolution("a", "void", 0)), (hold("b", 10_000), Held("b", 10_000))]),
    ("free calls need no money", 0, 0, [(hold("a", 0), Held("a", 0)), (post("a", 0), Resolution("a", "post", 0))]),
    ("free calls even below zero", -2_000, None, [(hold("a", 0), Held("a", 0)), (hold("b", 2_000), Refused("wallet", -2_000))]),
    ("the key's budget", 90_000, 10_000, [(hold("a", 6_000), Held("a", 6_000)), (hold("b", 6_000), Refused("key", 4_000)), (post("a", 8_000), Resolution("a", "post", 8_000)), (hold("c", 4_000), Refused("key", 2_000))]),
    ("the wallet is asked first", 2_000, 2_000, [(hold("a", 4_000), Refused("wallet", 2_000))]),
    ("a hold twice", 20_000, None, [(hold("a", 4_000), Held("a", 4_000)), (hold("a", 9_000_000), Held("a", 4_000))]),
    ("a hold after its end", 20_000, None, [(hold("a", 4_000), Held("a", 4_000)), (post("a", 2_000), Resolution("a", "post", 2_000)), (hold("a", 8_000), Held("a", 4_000))]),
    ("a post twice", 20_000, None, [(hold("a", 4_000), Held("a", 4_000)), (post("a", 2_000), Resolution("a", "post", 2_000)), (post("a", 6_000), Resolution("a", "post", 2_000, True))]),
    ("a post after a void", 20_000, None, [(hold("a", 4_000), Held("a", 4_000)), (void("a"), Resolution("a", "void", 0)), (post("a", 6_000), Resolution("a", "void", 0, True))]),
    ("a void after a post", 20_000, None, [(hold("a", 4_000), Held("a", 4_000)), (post("a", 2_000), Resolution("a", "post", 2_000)), (void("a"), Resolution("a", "post", 2_000, True))]),
    ("a late post, once", 20_000, None, [(hold("a", 4_000), Held("a", 4_000)), (expire("a"), Resolution("a", "expire", 0)), (post("a", 6_000), Resolution("a", "late", 6_000)), (post("a", 8_000), Resolution("a", "late", 6_000, True)), (void("a"), Resolution("a", "late", 6_000, True))]),
    ("a void after an expiry", 20_000, None, [(hold("a", 4_000), Held("a", 4_000)), (expire("a"), Resolution("a", "expire", 0)), (void("a"), Resolution("a", "expire", 0, True))]),
    ("an expiry after a post", 20_000, None, [(hold("a", 4_000), Held("a", 4_000)), (post("a", 2_000), Resolution("a", "post", 2_000)), (expire("a"), Resolution("a", "post", 2_000, True))]),
    ("no such hold", 20_000, None, [(post("x", 2_000), Resolution("x", "unknown", 0)), (void("x"), Resolution("x", "unknown", 0)), (refund("r", "x", 2_000), Resolution("r", "unknown", 0))]),
    ("credits, once each", 0, None, [(credit("c", 6_000), Resolution("c", "credit", 6_000)), (credit("c", 8_000), Resolution("c", "credit", 6_000, True)), (credit("d", -4_000), Resolution("d", "credit", 4_000)), (hold("a", 4_000), Refused("wallet", 2_000))]),
    ("refunds, once each", 20_000, None, [(hold("a", 4_000), Held("a", 4_000)), (post("a", 6_000), Resolution("a", "post", 6_000)), (refund("r", "a", 2_000), Resolution("r", "refund", 2_000)), (refund("r", "a", 4_000), Resolution("r", "refund", 2_000, True))]),
    ("a late post is refunded too", 20_000, None, [(hold("a", 4_000), Held("a", 4_000)), (expire("a"), Resolution("a", "expire", 0)), (post("a", 6_000), Resolution("a", "late", 6_000)), (refund("r", "a", 6_000), Resolution("r", "refund", 6_000))]),
    ("a void is not refunded", 20_000, None, [(hold("a", 4_000), Held("a", 4_000)), (void("a"), Resolution("a", "void", 0)), (refund("r", "a", 2_000), Resolution("r", "unknown", 0))]),
]  # fmt: skip


@pytest.mark.parametrize(("balance", "limit", "steps"), [t[1:] for t in TABLE], ids=[t[0] for t in TABLE])
def test_table(balance, limit, steps):
    state = make(balance, limit)
    for command, answer in steps:
        assert apply(state, command) == answer


@pytest.mark.parametrize(
    "command",
    [
        hold("a", 2_001),
        hold("a", -2_000),
        hold("a", MAX_AMOUNT + UNIT),
        Hold(id="a", wallet_id=99, amount=2_000, user_id=1, now=1.0),
        Hold(id="a", wallet_id=WALLET, key_account_id=99, amount=2_000, user_id=1, now=1.0),
        credit("c", 1),
        Credit(id="c", wallet_id=99, amount=2_000, now=1.0),
        post("held", 1_999),
        refund("r", "posted", 6_000),
    ],
)
def test_what_no_correct_caller_sends_changes_nothing(command):
    state = make(100_000)
    for first in (hold("held", 4_000), hold("posted", 4_000), post("posted", 4_000)):
        apply(state, first)
    before = repr((state.accounts, state.holds, state.made, state.logs, state.refunded))
    with pytest.raises(LedgerError):
        apply(state, command)
    assert repr((state.accounts, state.holds, state.made, state.logs, state.refunded)) == before


def test_transfers_and_log_rows_of_a_call():
    state = make(100_000)
    apply(state, hold("a", 10_000))
    apply(state, post("a", 4_000))
    (transfer,) = state.made
    assert (transfer.id, transfer.debit_id, transfer.credit_id) == ("a", WALLET, REVENUE)
    assert (transfer.amount, transfer.held, transfer.log_at, transfer.created_at) == (4_000, 10_000, 5, 6)
    assert [(e.id, e.nanos) for e in state.logs] == [("a", 4_000)]
    assert not state.opened and not state.closed  # begun and ended in one batch: the hold is never written
    assert (state.accounts[WALLET].holds, state.accounts[WALLET].requests) == (1, 1)


def test_credit_comes_from_funding_and_goes_back_there():
    state = make()
    apply(state, credit("in", 6_000))
    apply(state, credit("out", -2_000))
    assert [(t.debit_id, t.credit_id, t.amount) for t in state.made] == [
        (FUNDING, WALLET, 6_000),
        (WALLET, FUNDING, 2_000),
    ]
    assert state.accounts[WALLET].balance == 4_000


def test_a_tasks_hold_belongs_to_no_lease():
    state = make(100_000)
    apply(state, hold("call", 2_000, deadline=99.0))
    apply(state, hold("task", 2_000, deadline=99.9, task=True))
    assert (state.opened["call"].lease_id, state.opened["call"].deadline) == (LEASE, None)
    assert (state.opened["task"].lease_id, state.opened["task"].deadline) == (None, 99)


def test_a_log_row_alone_costs_nothing():
    state = make()
    record = CallRecord(request_id="r", created_at=5, user_id=1, nanos=4_000, quota=2)
    assert apply(state, Log(record=record)) == Resolution("r", "log", 0)
    assert [(e.id, e.nanos) for e in state.logs] == [("r", 0)]
    assert not state.made


amounts = st.integers(0, 20).map(lambda n: n * UNIT)
ids = st.sampled_from([f"h{i}" for i in range(8)])


class Ledger(RuleBasedStateMachine):
    """Any commands in any order, against a model that only remembers results."""

    def __init__(self):
        super().__init__()
        self.state = make(0, 40 * UNIT)
        self.credits = self.charged = self.refunded = 0
        self.ends: dict[str, str] = {}  # hold id -> how it ended
        self.charges: dict[str, int] = {}
        self.results: dict[str, Resolution] = {}

    @rule(number=st.integers(0, 5), amount=amounts)
    def add_credit(self, number, amount):
        if not apply(self.state, credit(f"c{number}", amount)).repeated:
            self.credits += amount

    @rule(hold_id=ids, amount=amounts)
    def begin(self, hold_id, amount):
        wallet, key = self.state.accounts[WALLET], self.state.accounts[KEY]
        fits = wallet.balance - wallet.held >= amount and key.limit - key.used - key.held >= amount
        known = hold_id in self.state.holds or hold_id in self.ends
        result = apply(self.state, hold(hold_id, amount))
        assert isinstance(result, Held) == (known or amount == 0 or fits)

    @rule(hold_id=ids, amount=amounts, how=st.sampled_from([post, void, expire]))
    def end(self, hold_id, amount, how):
        was_open = hold_id in self.state.holds
        result = apply(self.state, how(hold_id, amount) if how is post else how(hold_id))
        if was_open:
            assert not result.repeated and hold_id not in self.ends
            self.ends[hold_id] = result.kind
        elif hold_id not in self.ends:
            assert result.kind == "unknown"
            return
        elif how is post and self.ends[hold_id] == "expire":
            assert result == Resolution(hold_id, "late", amount)
            self.ends[hold_id] = "late"
        else:
            assert result == Resolution(hold_id, self.ends[hold_id], self.charges.get(hold_id, 0), True)
            return
        if result.kind in ("post", "late"):
            self.charged += amount
            self.charges[hold_id] = amount

    @rule(hold_id=ids, number=st.integers(0, 3), amount=amounts)
    def give_back(self, hold_id, number, amount):
        try:
            result = apply(self.state, refund(f"r{hold_id}{number}", hold_id, amount))
        except LedgerError:
            assert amount + self.state.refunded.get(hold_id, 0) > self.charges[hold_id]
            return
        if result.kind == "refund" and not result.repeated:
            self.refunded += amount

    @invariant()
    def balance_is_credits_less_posts(self):
        wallet, key = self.state.accounts[WALLET], self.state.accounts[KEY]
        assert wallet.balance == self.credits - self.charged + self.refunded
        assert wallet.used == key.used == self.charged - self.refunded >= 0

    @invariant()
    def held_is_the_open_holds(self):
        still = sum(h.amount for h in self.state.holds.values())
        assert self.state.accounts[WALLET].held == self.state.accounts[KEY].held == still

    @invariant()
    def every_hold_ends_once(self):
        assert not set(self.state.holds) & set(self.ends)
        assert self.state.accounts[WALLET].holds == len(self.state.holds) + len(self.ends)
        made = [t.id for t in self.state.made]
        assert len(made) == len(set(made))
        assert {i for i in made if i.endswith(LATE_SUFFIX)} == {
            i + LATE_SUFFIX for i, e in self.ends.items() if e == "late"
        }

    @invariant()
    def one_log_row_a_charge(self):
        assert sum(e.nanos for e in self.state.logs) == self.charged
        assert len(self.state.logs) == len(self.charges)


TestLedger = Ledger.TestCase
