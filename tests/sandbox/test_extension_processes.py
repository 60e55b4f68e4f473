"""Processes of extensions in a sandbox, and the daemon's connections into it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sandbox.fixtures.beside import beside, check

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sandbox.conftest import Farm

pytestmark = pytest.mark.slow


def test_they_run_beside_the_runtime(in_farm: Callable[..., None]) -> None:
    async def scenario(farm: Farm) -> None:
        check(await beside(farm))

    in_farm(scenario)
