"""A simulated AI provider: what the tests, the benchmark and `dragoman demo` talk to instead of a vendor.

It speaks the four dialects (OpenAI Chat and its plain siblings, OpenAI Responses, Anthropic Messages, Gemini)
in each vendor's own shapes, event orders and error bodies, and is as strict as a vendor about paths and
credentials, so that a gateway's mistake shows.

What to rely on
* Same request, same answer; only ids count up (`x-sim: id=NAME` fixes them). Times are the constant
  `reply.CREATED`.
* Text: `Echo: <last user text>`; `OK` when asked for OK only; with tools a call of the first (or forced)
  tool, after a tool's result a text; with a JSON schema the smallest valid instance.
* Tokens: `ceil(characters / 4)` over everything textual, 85 per image, sound or file. `reply.py` says which
  characters count.
* Any credential is good, in any position, but none and `bad-key` (401 in the dialect's shape). Models called
  `missing…` are unknown.
* Failures on request: header `x-sim`, or `[[sim …]]` in the last user text. `directives.py` lists the keys.
* Any path may be prefixed with `/up/<name>`: several upstreams out of one process.
* `GET /_sim/requests`: the last 200 requests as they arrived, and what became of their answers; `DELETE`
  clears.

It imports nothing else of Dragoman: an oracle that shared our code would share our errors. What does not
belong here: the behaviour of one particular vendor's model, randomness, clocks, files.
"""

from dragoman.simulator.app import create_app

__all__ = ["create_app"]
