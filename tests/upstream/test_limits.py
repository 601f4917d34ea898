from __future__ import annotations

from dragoman.upstream.limits import PoolLimits, Timeouts


def test_defaults_nest() -> None:
    times, limits = Timeouts(), PoolLimits()
    assert times.connect_s < times.idle_s < times.first_byte_s < times.total_s
    assert limits.idle_per_origin <= limits.per_origin
    assert limits.idle_per_origin <= limits.idle_total
    assert limits.buffer_bytes < limits.body_bytes
    # Pool slots are waited for within connect_s, so an idle connection must outlive that wait.
    assert times.connect_s < limits.idle_expiry_s
