"""Deploys the folders of examples/ as a user would: packages fetched, a zip, CreateFunction, Invoke."""

from __future__ import annotations

import base64
import io
import json
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

EXAMPLES = Path(__file__).parents[2] / "examples"
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
_ROLE = "arn:aws:iam::000000000000:role/example"
_WAIT = {"Delay": 1, "MaxAttempts": 60}
_INSTALL_SECONDS = 300


@dataclass
class Answer:
    """What Invoke gave: the decoded payload, the function error if any, the log's tail."""

    payload: Any
    error: str | None
    log: str


def deploy(client: Any, name: str, directory: Path, **configuration: Any) -> None:
    """Create the function from a directory and wait until it is active."""
    client.create_function(
        FunctionName=name,
        Role=_ROLE,
        Code={"ZipFile": zip_directory(directory)},
        **{"Runtime": PYTHON, "Timeout": 30, **configuration},
    )
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig=_WAIT)


def reconfigure(client: Any, name: str, **configuration: Any) -> None:
    """Change the configuration and wait until the change holds."""
    client.update_function_configuration(FunctionName=name, **configuration)
    client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig=_WAIT)


def invoke(client: Any, name: str, event: object) -> Answer:
    """Invoke and wait for the answer."""
    answer = client.invoke(FunctionName=name, Payload=json.dumps(event), LogType="Tail")
    log = base64.b64decode(answer["LogResult"]).decode()
    return Answer(json.loads(answer["Payload"].read()), answer.get("FunctionError"), log)


def zip_directory(directory: Path) -> bytes:
    """Return a zip of everything in a directory, with its modes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(directory.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                archive.write(path, path.relative_to(directory))
    return buffer.getvalue()


def with_packages(example: str, target: Path) -> Path:
    """Copy an example to `target` and put what its requirements name beside it, as wheels for this machine."""
    shutil.copytree(EXAMPLES / example, target)
    requirements = str(target / "requirements.txt")
    failures = []
    for command in _installers():
        ran = subprocess.run(
            [*command, "--only-binary=:all:", "--target", str(target), "-r", requirements],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False,
        )  # fmt: skip
        if ran.returncode == 0:
            return target
        failures.append(f"{command[0]}: {ran.stderr.strip()[-500:]}")
    raise AssertionError(f"nothing here installs Python packages: {failures}")


def _installers() -> Iterable[list[str]]:
    root = EXAMPLES.parent / ".venv"
    for uv in (root / "tools" / "bin" / "uv", root / "bin" / "uv", shutil.which("uv")):
        if uv is not None and Path(uv).is_file():
            yield [str(uv), "pip", "install", "--quiet", "--python", sys.executable]
    prefix = Path(sys.base_prefix) / "bin" / PYTHON
    for python in (root / "tools" / "bin" / "python", prefix):
        if python.is_file():
            yield [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
