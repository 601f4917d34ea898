"""The one gateway of a test session (of each xdist worker)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.world import Stage, open_stage


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A running gateway with a channel for every upstream dialect; its books must be clean at the end."""
    yield from open_stage(tmp_path_factory.mktemp("conformance"))
