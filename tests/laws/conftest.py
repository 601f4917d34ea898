"""Hypothesis settings for the laws: no deadlines (a busy machine is no failure), no example database on disk; a thousand
examples of each law where ``CI`` is set, a hundred elsewhere.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "laws",
    max_examples=1000 if os.environ.get("CI") else 100,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile("laws")
