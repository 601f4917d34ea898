"""What the probe scripts share: named steps, each with its own failure, and one JSON object on standard output.

A probe runs with nothing but the standard library and one SDK on its path, so it may import only this file and the SDK.
Argument: `{"url": root of the gateway, "key", "wrong_key"}` as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any


class Probe:
    """Collects steps and runs them in order."""

    def __init__(self) -> None:
        self.target: dict[str, str] = json.loads(sys.argv[1])
        self._steps: list[Callable[[], Any]] = []

    def step(self, function: Callable[[], Any]) -> Callable[[], Any]:
        """Decorator: the function's name is the result's."""
        self._steps.append(function)
        return function

    def run(self) -> None:
        """Runs all steps; a step that raises leaves `{"failed": "Class: message"}`."""
        results: dict[str, Any] = {}
        for function in self._steps:
            try:
                results[function.__name__] = function()
            except Exception as error:
                results[function.__name__] = {"failed": f"{type(error).__name__}: {error}"}
        print(json.dumps(results))


def raised(function: Callable[[], Any]) -> str:
    """`RateLimitError 429`: the class and status of the error that `function` raises; "nothing" if it does not."""
    try:
        function()
    except Exception as error:
        status = getattr(error, "status_code", None) or getattr(error, "code", None)
        return f"{type(error).__name__} {int(status)}" if isinstance(status, int) else type(error).__name__
    return "nothing"
