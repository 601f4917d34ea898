"""The ledger: the only mover of money.

Purpose: hold before work, resolve once. ``core`` is the rules, pure; ``batch`` applies a batch of commands to the
database in one transaction; ``writer`` is the thread that does so for a process; ``book`` is its asynchronous face;
``leases`` says which process a hold belongs to and finds those that died; ``audit`` recomputes everything.

Invariants
- Amounts are integer nanos, multiples of 2 000 (one quota unit), never negative.
- wallet.balance = credits - posts + refunds; account.held = the sum of its open holds; both recomputed by ``audit``.
- A hold resolves exactly once: post, void or expire. Commands are idempotent by id: a repeated one returns the first
  result. A post after an expiry is a late post: charged, recorded once, never a second one.
- Wallet and key budget move in one transaction, together with the call's log row.
- Transfers are append-only. System accounts have no stored balance, so no row is shared by everyone.
- What an admitted call used is posted in full, even if the wallet ends below zero; then nothing but free calls is
  admitted until it is above.

Not here: what a call costs (``core.money``), when to post or void (``relay``), users and keys (``store``).
"""
