"""Routing: which channel serves a call, as pure functions over an immutable snapshot.

- ``plan``      the frozen values that carry a request: Call → Plan → Attempt → Outcome
- ``snapshot``  groups, channels and prices compiled into one immutable value, swapped whole
- ``keytable``  the bounded table of keys that the data plane has met
- ``admit``     may this key do this: status, expiry, address, model
- ``select``    the order in which channels are tried, given snapshot, call and a random number

Invariants: nothing here reads a clock, a socket, a database or a random source; they come in as arguments. A snapshot
never changes after it was made. What does not belong here: anything about one vendor (``providers``), money beyond
looking up a price (``core.money``), and anything asynchronous (``relay``).
"""
