"""Puts AWS SDKs where functions find them without shipping them: `python -m lambent.environments.runtimes.sdk_install`.

Run at set-up, not by the server: it may fetch packages. Every step that cannot be done is said with its reason and
leaves the others alone; what is installed already is kept.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lambent.environments.runtimes.interpreters import InterpreterSearch, SearchPlaces
from lambent.environments.runtimes.nearest import parse_version
from lambent.environments.sandbox.sandbox import RuntimeFamily

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from lambent.environments.sandbox.sandbox import Interpreter

_DISTRIBUTIONS = ("boto3", "botocore", "s3transfer", "jmespath", "python-dateutil", "six", "urllib3")
# boto3 of our own environment supports this Python and newer; these are the last releases for older ones.
_OWN_LOWEST = (3, 10)
_OLDER_BOTO3 = {(3, 8): "1.37.38", (3, 9): "1.42.97"}
_INSTALL_SECONDS = 600
# What AWS's nodejs18.x and newer runtimes carry is the whole of v3; these are the clients our examples and the
# services of this house speak. Others are added with --client.
_NODE_V3 = (
    "client-api-gateway",
    "client-apigatewaymanagementapi",
    "client-cloudwatch",
    "client-cloudwatch-logs",
    "client-dynamodb",
    "client-dynamodb-streams",
    "client-ec2",
    "client-eventbridge",
    "client-firehose",
    "client-iam",
    "client-kinesis",
    "client-kms",
    "client-lambda",
    "client-s3",
    "client-scheduler",
    "client-secrets-manager",
    "client-ses",
    "client-sfn",
    "client-sns",
    "client-sqs",
    "client-ssm",
    "client-sts",
    "credential-providers",
    "lib-dynamodb",
    "lib-storage",
    "s3-request-presigner",
    "util-dynamodb",
)
_NODE_V2 = "aws-sdk@2.1692.0"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One SDK: where it is, or why it is not there."""

    name: str
    text: str
    is_installed: bool


def install_all(root: Path, interpreters: Sequence[Interpreter], clients: Iterable[str] = ()) -> Iterator[Outcome]:
    """Install every SDK below `root` and yield what came of each. Blocks for minutes at most."""
    root.mkdir(parents=True, exist_ok=True)
    pythons = [each for each in interpreters if each.family is RuntimeFamily.PYTHON]
    yield _outcome(root, "python-3.10", "boto3 of Lambent's own environment", lambda to: _copy_own(to, pythons))
    for lowest, version in _OLDER_BOTO3.items():
        python = next((each for each in pythons if parse_version(each.version)[:2] == lowest), None)
        name = f"python-{lowest[0]}.{lowest[1]}"
        if python is None:
            yield Outcome(name, f"no Python {lowest[0]}.{lowest[1]} on this machine", is_installed=False)
            continue
        yield _outcome(root, name, f"boto3 {version}", _pip(python, version))
    npm = shutil.which("npm")
    packages = [f"@aws-sdk/{each}" for each in (*_NODE_V3, *clients)]
    for name, wanted in (("nodejs-v3", packages), ("nodejs-v2", [_NODE_V2])):
        if npm is None:
            yield Outcome(name, "npm was not found: functions must ship the AWS SDK for JavaScript", is_installed=False)
            continue
        yield _outcome(root, name, "AWS SDK for JavaScript", _npm(npm, wanted), _has_packages(wanted))


def main(arguments: Sequence[str] | None = None) -> int:
    """Install and print what came of it; 0 unless nothing could be installed."""
    parser = argparse.ArgumentParser(prog="python -m lambent.environments.runtimes.sdk_install", description=__doc__)
    parser.add_argument("directory", type=Path, help="where they go; the server looks in PREFIX/share/lambent/sdk")
    parser.add_argument("--client", action="append", default=[], help="another v3 package, e.g. client-rds")
    chosen = parser.parse_args(arguments)
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    places = SearchPlaces(homes=(home,), executables=((RuntimeFamily.PYTHON, Path(sys.executable)),))
    count = 0
    for outcome in install_all(chosen.directory, InterpreterSearch(places).find(), chosen.client):
        count += outcome.is_installed
        print(f"{outcome.name}: {outcome.text}", flush=True)
    return 0 if count else 1


def _outcome(
    root: Path,
    name: str,
    text: str,
    install: Callable[[Path], str | None],
    is_complete: Callable[[Path], bool] = Path.is_dir,
) -> Outcome:
    """Install into a new directory and move it to its name when it is whole; one that lacks something is replaced."""
    final = root / name
    if final.is_dir() and is_complete(final):
        return Outcome(name, "installed already", is_installed=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=root))
    try:
        failure = install(partial)
        if failure is not None:
            return Outcome(name, failure, is_installed=False)
        _make_readable(partial)
        if final.is_dir():
            final.rename(partial.with_name(f"{partial.name}.old"))
        partial.rename(final)
    except OSError as error:
        return Outcome(name, str(error), is_installed=False)
    finally:
        for left in root.glob(f"{partial.name}*"):
            shutil.rmtree(left, ignore_errors=True)
    return Outcome(name, text, is_installed=True)


def _copy_own(target: Path, pythons: Iterable[Interpreter]) -> str | None:
    for distribution in _DISTRIBUTIONS:
        try:
            files = importlib.metadata.files(distribution)
        except importlib.metadata.PackageNotFoundError:
            return f"{distribution} is missing from Lambent's own environment"
        for file in files or ():
            if ".." in file.parts or "__pycache__" in file.parts:
                continue
            to = target / file
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(file.locate()), to)
    fitting = [each for each in pythons if parse_version(each.version)[:2] >= _OWN_LOWEST]
    for minor in {parse_version(each.version)[:2]: each for each in fitting}.values():
        _compile(minor.executable, target)
    return None


def _pip(python: Interpreter, version: str) -> Callable[[Path], str | None]:
    def install(target: Path) -> str | None:
        command = [python.executable, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
        failure = _run([*command, "--only-binary=:all:", "--target", str(target), f"boto3=={version}"])
        if failure is None:
            _compile(python.executable, target)
        return failure

    return install


def _npm(npm: str, packages: list[str]) -> Callable[[Path], str | None]:
    def install(target: Path) -> str | None:
        (target / "package.json").write_text('{"name": "lambent-sdk", "private": true}\n')
        flags = ["--no-audit", "--no-fund", "--ignore-scripts", "--omit=dev", "--loglevel=error"]
        return _run([npm, "install", "--prefix", str(target), *flags, *packages])

    return install


def _has_packages(packages: list[str]) -> Callable[[Path], bool]:
    """Return whether a directory has all packages, asked for as `name`, `@scope/name` or with `@version` behind."""
    names = [package[0] + package[1:].partition("@")[0] for package in packages]
    return lambda directory: all((directory / "node_modules" / name).is_dir() for name in names)


def _compile(python: str, target: Path) -> None:
    """Write byte code, for the directory is read-only where it is used. Hash-based: times do not survive copies."""
    _run([python, "-I", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", str(target)])


def _run(command: list[str]) -> str | None:
    """Return None when it ended well, else the reason."""
    try:
        ran = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_INSTALL_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if ran.returncode == 0:
        return None
    return ran.stderr.decode(errors="replace").strip()[-300:] or f"exit status {ran.returncode}"


def _make_readable(root: Path) -> None:
    root.chmod(0o755)
    for directory, names, files in os.walk(root):
        for name in names:
            os.chmod(os.path.join(directory, name), 0o755)
        for name in files:
            path = os.path.join(directory, name)
            if not os.path.islink(path):
                os.chmod(path, 0o644)


if __name__ == "__main__":
    sys.exit(main())
