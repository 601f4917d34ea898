"""The control plane: what operators and users manage. One file per noun.

- ``admin``  the commands behind ``dragoman admin``

Invariants: handlers are synchronous and take a database connection; every write runs in the ledger's writer and records
its change, so that it holds on all processes; secrets are shown once, at creation. What does not belong here: serving
model calls (``relay``), moving money other than by the ledger's commands.
"""
