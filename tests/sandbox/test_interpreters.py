"""Every Python on this machine can be the one that waits in a sandbox; the SDK is loaded once, in the zygote."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from lambent.environments.sandbox.namespaces import ZYGOTE_TENDINGS_MAX, ZYGOTE_UNUSED_TENDINGS_MAX
from lambent.environments.sandbox.sandbox import Interpreter, RuntimeFamily

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sandbox.conftest import Farm

pytestmark = pytest.mark.slow

SUPPORTED = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
CODE = """
import subprocess, sys, threading
def handler(event):
    thread = threading.Thread(target=lambda: event.append(1)); thread.start(); thread.join()
    child = subprocess.run([sys.executable, "-c", "print(7)"], stdout=subprocess.PIPE)
    return ["%d.%d" % sys.version_info[:2], event, child.stdout.decode(), "planted_sdk" in sys.modules]
"""


def installed(version: str) -> Interpreter | None:
    """Return an interpreter of a version from pyenv or the search path."""
    homes = [str(path) for path in Path.home().glob(f".pyenv/versions/{version}.*/bin")]
    for directory in (*homes, *os.environ["PATH"].split(os.pathsep)):
        path = f"{directory}/python{version}"
        result = None
        if os.access(path, os.X_OK):
            program = (
                "import sys, os; print(os.path.realpath(sys.executable)); print(os.path.realpath(sys.base_prefix))"
            )
            result = subprocess.run([path, "-c", program], capture_output=True, text=True, check=False)
        if result is not None and result.returncode == 0:
            executable, prefix = result.stdout.split()
            return Interpreter(RuntimeFamily.PYTHON, executable, version, (prefix,))
    return None


@pytest.mark.parametrize("version", SUPPORTED)
def test_zygote_of_every_version(in_farm: Callable[..., None], version: str) -> None:
    interpreter = installed(version)
    if interpreter is None:
        pytest.skip(f"no Python {version} on this machine")

    async def scenario(farm: Farm) -> None:
        kind = replace(farm.kind(), interpreter=interpreter)
        running = await farm.run_files({"app.py": CODE}, kind)
        assert await running.ask([]) == [version, [1], "7\n", False]
        await running.sandbox.reset()
        await running.connect()
        assert await running.ask([]) == [version, [1], "7\n", False]
        await running.close()

    in_farm(scenario, readable=interpreter.roots)


def test_zygotes_are_replaced_now_and_then_and_go_when_unused(in_farm: Callable[..., None]) -> None:
    async def scenario(farm: Farm) -> None:
        running = await farm.run("def handler(event):\n    return event\n")
        (first,) = farm.driver.zygote_ids().values()
        for _ in range(ZYGOTE_TENDINGS_MAX):
            farm.driver.tend_zygotes()
        later = await farm.run("def handler(event):\n    return event\n")
        (second,) = farm.driver.zygote_ids().values()
        assert first != second
        assert (await running.ask(1), await later.ask(2)) == (1, 2)
        await running.close()
        for _ in range(ZYGOTE_UNUSED_TENDINGS_MAX):
            farm.driver.tend_zygotes()
        assert list(farm.driver.zygote_ids().values()) == [second], "one of its sandboxes lives"
        await later.close()
        for _ in range(ZYGOTE_UNUSED_TENDINGS_MAX):
            farm.driver.tend_zygotes()
        assert farm.driver.zygote_ids() == {}
        again = await farm.run("def handler(event):\n    return event\n")
        assert await again.ask(3) == 3
        await again.close()

    in_farm(scenario)


def test_sdk_is_loaded_in_a_zygote_of_its_own(
    in_farm: Callable[..., None], tmp_path_factory: pytest.TempPathFactory
) -> None:
    sdk = tmp_path_factory.mktemp("sdk")
    (sdk / "planted_sdk.py").write_text("LOADED = True\n")
    for path in (sdk, sdk.parent):
        path.chmod(0o755)

    async def scenario(farm: Farm) -> None:
        kind = replace(farm.kind(), sdk_directory=str(sdk), preload_sdk=True)
        running = await farm.run_files({"app.py": CODE}, kind)
        assert (await running.ask([]))[3] is True
        plain = await farm.run(CODE)
        assert (await plain.ask([]))[3] is False
        assert len(farm.driver.zygote_ids()) == 2
        await running.close()
        await plain.close()

    in_farm(scenario, readable=(str(sdk),))
