"""AWS's names lead to sockets inside the sandbox, whoever runs the launcher; test_rootless.py has level 1."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lambent.environments.sandbox.sandbox import Interpreter, RuntimeFamily, SandboxKind
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


@pytest.mark.usefixtures("needs_root")
def test_a_jvm_with_certificates_of_its_own_has_ours_instead(in_farm: Callable[..., None]) -> None:
    # Not below /tmp, which is the function's own inside.
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        home = Path(directory)
        home.chmod(0o755)
        (home / "lib/security").mkdir(parents=True)
        (home / "bin").mkdir()
        (home / "bin/java").touch(0o755)
        store = home / "lib/security/cacerts"
        store.write_bytes(b"the distribution's")

        async def scenario(farm: Farm) -> None:
            java = Interpreter(RuntimeFamily.JAVA, str(home / "bin/java"), "21.0.1", (str(home),))
            sandbox = await farm.driver.create(SandboxKind(RuntimeFamily.EXEC, "000000000000", java))
            code = farm.write_code({"empty": ""})
            running = await farm.specialise(sandbox, code, argv=("/usr/bin/sha256sum", str(store)))
            await sandbox.wait_exited()
            made = (farm.data / "trust/current/java/cacerts").read_bytes()
            assert running.log().split()[0].decode() == hashlib.sha256(made).hexdigest()
            assert store.read_bytes() == b"the distribution's"
            await running.close()

        in_farm(scenario, has_apis=True, readable=(str(home),))
