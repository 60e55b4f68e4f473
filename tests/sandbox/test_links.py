"""A sandbox's link to the outside, from the supervisor's side: made at prewarm, gone with the sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sandbox.conftest import Farm

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("needs_root")]

LOOK = """
import socket
def handler(event):
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.connect(("192.0.2.1", 9))
    try:
        name = socket.gethostbyname("host.lambent.internal")
    except OSError as error:
        name = str(error)
    return [sorted(name for _, name in socket.if_nameindex()), udp.getsockname()[0], name]
"""


def test_every_sandbox_has_a_link_of_its_own(in_farm: Callable[..., None]) -> None:
    async def scenario(farm: Farm) -> None:
        if "egress" in farm.driver.missing_features:
            pytest.skip(farm.driver.missing_features["egress"])
        first, second = await farm.run(LOOK), await farm.run(LOOK)
        links, address, name = await first.ask()
        other_links, other_address, _ = await second.ask()
        assert links == other_links == ["eth0", "lo"]
        assert address != other_address
        assert "not known" in name or "No address" in name
        await first.sandbox.reset()
        await first.connect()
        assert (await first.ask())[1] == address
        await first.close()
        await second.close()

    in_farm(scenario, egress="open")


def test_no_link_without_egress(in_farm: Callable[..., None]) -> None:
    async def scenario(farm: Farm) -> None:
        running = await farm.run("import socket\ndef handler(event):\n    return socket.if_nameindex()\n")
        assert await running.ask() == [[1, "lo"]]
        await running.close()

    in_farm(scenario, egress="none")
