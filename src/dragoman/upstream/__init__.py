"""The only outbound sockets of the gateway: an HTTP/1.1 client made for relaying.

Purpose
    `client.Client.send` puts one request on the wire and hands back a `Response` as soon as the
    answer's head is there; `Response.chunk()` gives the body as it arrives.  Everything else here
    serves that call: `pool` (kept-alive connections of one origin), `h1` (one connection),
    `response` (one answer), `dial` (address, tunnel, TLS), `sockets` (DNS and TCP), `tunnel`
    (CONNECT and SOCKS5), `egress` (which addresses a user-supplied URL may reach), and the values
    `origin`, `limits`, `errors`.  `credentials` uses the port to exchange long-lived keys for tokens.

Invariants
    * Every failure leaves as one `UpstreamError` with a kind and `sent` (may the peer have seen the
      request?); no OSError, ssl.SSLError or parser error crosses this border.
    * No answer is complete unless its framing says so: a body cut short raises after the bytes that
      did arrive, it never ends like a whole one.
    * A connection carries one exchange at a time and goes back to the pool only when the answer was
      complete, the request was written to its last byte, and the peer agreed to keep it.
    * Memory per connection is bounded by `PoolLimits`: head, buffered body, unproductive framing.
    * Cancelling whoever awaits `send` or `chunk` closes the connection: the vendor learns of it.
    * Addresses checked by an `EgressPolicy` are the ones connected to; such connections are never
      shared with calls that were not checked.
    * A request costs no task and, in the steady state, no timer: each connection re-arms one lazily.

What does not belong here
    Dialects, paths and quirks of vendors, retries over channels, header filtering, redirects (a 3xx is an answer like any
    other), content decoding, cookies, caches, HTTP/2.
"""
