"""A wheel built from the tree and installed outside it serves and invokes."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.running import LambentServer, clean_environment, create_function, invoke

_ROOT = Path(__file__).resolve().parents[2]


def _run(*command: str | Path) -> None:
    said = subprocess.run(
        command, cwd="/", env=clean_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=280
    )
    assert said.returncode == 0, said.stdout[-3000:] + said.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.long
def test_an_installed_wheel_serves_and_invokes() -> None:
    # Not below pytest's own directory: the daemon's account must be able to walk there.
    place = Path(tempfile.mkdtemp(prefix="lambent-wheel-"))
    place.chmod(0o755)
    try:
        python = place / "venv" / "bin" / "python"
        _run(getattr(sys, "_base_executable", sys.executable), "-m", "venv", place / "venv")
        _run(python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", place / "dist", _ROOT)
        [wheel] = (place / "dist").glob("lambent-*.whl")
        _run(python, "-m", "pip", "install", "--quiet", wheel)
        server = LambentServer()
        server.executable = place / "venv" / "bin" / "lambent"
        try:
            client = server.start().client()
            assert f"data       {server.data_dir}" in server.output()
            own = f"python{sys.version_info.major}.{sys.version_info.minor}"
            create_function(
                client, "installed", {"index.py": "def handler(e, c): return [e, c.function_name]"}, Runtime=own
            )
            assert invoke(client, "installed", "hello") == ["hello", "installed"]
            if shutil.which("node"):
                script = {"index.mjs": "export const handler = async (event) => ({ event });"}
                create_function(client, "installed-node", script, Runtime="nodejs20.x")
                assert invoke(client, "installed-node", 1) == {"event": 1}
        finally:
            server.close()
    finally:
        shutil.rmtree(place)
