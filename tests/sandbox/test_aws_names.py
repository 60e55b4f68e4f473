"""AWS's names lead to sockets inside the sandbox, whoever runs the launcher; test_rootless.py has level 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.sandbox.fixtures import names

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sandbox.conftest import Farm

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("is_fresh", [False, True])
def test_names_of_aws_lead_to_us(in_farm: Callable[..., None], is_fresh: bool) -> None:
    async def scenario(farm: Farm) -> None:
        names.check(await names.aws_names(farm))

    in_farm(scenario, has_apis=True, is_fresh=is_fresh)


def test_without_them_nothing_listens(in_farm: Callable[..., None]) -> None:
    async def scenario(farm: Farm) -> None:
        running = await farm.run(names.ASK)
        assert running.sandbox.api_listeners is None
        seen = await running.ask()
        assert seen["addresses"] == ["gaierror"] * 3
        assert seen["other name"] == "ConnectionRefusedError"
        await running.close()

    in_farm(scenario)
