"""The vocabulary of the gateway: small pure values and rules every other package speaks in.

* ``faults``    expected failures with an owner (client, upstream, gateway), their codes and retry advice
* ``usage``     token counts of one call, disjoint by price; the documented estimate where none arrived
* ``money``     integer nano-dollars, quota units, price rows, charges and holds
* ``envelope``  looking into and editing the top level of a JSON body without re-encoding it
* ``framing``   cutting byte streams into frames: SSE, growing JSON array, AWS event stream

Invariants
    Nothing here knows a dialect, a vendor, a channel, a socket, a clock or a database. Time, limits and
    randomness come in as arguments; results go out as values. Concatenating what a splitter gives back
    always yields exactly the bytes that went in. Money is ``int`` everywhere; one rounding per charge.

What does not belong here
    Wire formats (``dialects``), vendor facts (``providers``), anything that awaits, reads a file or keeps
    state between calls.
"""
