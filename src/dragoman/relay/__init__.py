"""The relay: the asynchronous shell around one request. Read ``flow.py`` first.

- ``server``    the listening sockets and the graceful stop; ``frontdoor`` the connection, its limits and JSON errors;
  ``exchange`` one request and its answer
- ``paths``     pure: what a path means, and the repair of the usual mistakes
- ``routes``    the ASGI application: probes, CORS, lists, and the way from bytes to a Call
- ``identity``  who is calling: credential, key, client address, client name
- ``bodies``    reading request bodies within their limits
- ``flow``      admit → plan → hold → attempts → lane → post or void: all control flow of a call
- ``attempt``   one candidate after the other, until an answer begins
- ``lanes``     the answer on its way to the client, with the usage tap
- ``settle``    pure: what an Outcome costs
- ``replies``   answers of the gateway's own: faults, refusals, small JSON
- ``keys``      key → record, ``owners`` vendor-side id → user, ``prices`` default prices; ``ids`` request ids
- ``listing``   model lists in the three shapes
- ``gateway``   the ports and limits that a request needs, wired in ``app``

Invariants: what nobody asked to change is never re-encoded; every hold is resolved in a ``finally``; nothing is retried
after the first byte went to the client; foreign exceptions become Faults in ``attempt`` and nowhere else. What does not
belong here: a vendor's name (``providers``), a wire format (``dialects``), balances (``ledger``).
"""
