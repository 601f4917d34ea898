"""How to reach a vendor: data, and the few pure functions that turn the data into one HTTP request.

A *provider* is a record (``base.Provider``): base URL, a path per operation, the way to present a
credential, static headers and the known quirks. ``catalog`` holds all records, ``base.prepare`` builds the
request of one attempt from a record and a configured ``base.Endpoint``, ``auth`` presents or signs
credentials, ``quirks`` holds the small body edits that a vendor needs, ``shapes`` the requests of Azure,
Vertex and Bedrock, ``models`` the shipped catalogue of model ids and ``prices`` the default prices.

Invariants
* Pure: no sockets, no threads, no clock, no files. Time, secrets and options come in as arguments; even the
  packaged price data is read inside a function, on demand.
* The client's body keeps its bytes. Only ``model``, members that a quirk or the operator names, and what a
  path-model vendor demands are edited, each through ``core.envelope``; nothing is re-encoded.
* A vendor's name never stands in an ``if`` outside this package. What a vendor does differently is a field
  of its record; a new vendor that speaks a known dialect costs about eight lines in ``catalog``.
* No credential of ours appears in a ``repr`` or in an error message.

What does not belong here: translation between dialects (``dialects``), which channel to take (``routing``),
sending (``upstream``), media jobs (``tasks.vendors``), resale prices and multipliers (configuration and
``core.money``).
"""
