"""Packages that are programs, and wrapper scripts."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from lambent.environments.runtimes.identifiers import IDENTIFIERS
from lambent.environments.runtimes.programs import plan_custom, plan_go, wrapped
from lambent.environments.sandbox.sandbox import Interpreter, RuntimeFamily
from lambent.environments.variables import SEARCH_PATH
from lambent.model.function import CodeReference, FunctionVersion

if TYPE_CHECKING:
    from pathlib import Path


def _version(runtime: str, handler: str = "f.handler", **environment: str) -> FunctionVersion:
    return FunctionVersion(
        account_id="000000000000",
        region="us-east-1",
        name="f",
        role="arn:aws:iam::000000000000:role/r",
        code=CodeReference("0" * 64, 1, 1),
        configuration_id="c",
        revision_id="r",
        last_modified_ms=0,
        runtime=runtime,
        handler=handler,
        environment=environment,
    )


def _program(path: Path, text: str, mode: int = 0o755) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def _run(argv: tuple[str, ...], **environment: str) -> tuple[int, str]:
    ran = subprocess.run(
        argv, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin", **environment}
    )
    return ran.returncode, ran.stdout


def test_a_custom_runtime_finds_its_bootstrap(tmp_path: Path) -> None:
    """The package's comes before the layer's; a wrapper is nobody's here."""
    plan = plan_custom(IDENTIFIERS["provided.al2"], _version("provided.al2", AWS_LAMBDA_EXEC_WRAPPER="/opt/w"), {})
    assert (plan.kind.family, plan.kind.interpreter) == (RuntimeFamily.EXEC, None)
    assert plan.runtime_version == "provided:al2.v1"
    own, layered = (f"{tmp_path}/{name}" for name in ("own", "layered"))
    argv = (*plan.argv[:-2], own, layered)
    assert plan.argv[-2:] == ("/var/task/bootstrap", "/opt/bootstrap")
    assert _run(argv)[0] == 214
    _program(tmp_path / "layered", "#!/bin/sh\necho layered")
    assert _run(argv) == (0, "layered\n")
    _program(tmp_path / "own", "#!/bin/sh\necho own")
    assert _run(argv) == (0, "own\n")
    (tmp_path / "layered").unlink()
    (tmp_path / "own").chmod(0o644)
    assert _run(argv)[0] == 213


def test_go_programs_of_both_ages(tmp_path: Path) -> None:
    """Whether a program knows the Runtime API is written in it; without a Python every one is on its own."""
    python = Interpreter(RuntimeFamily.PYTHON, "/opt/python3", "3.12.1")
    plan = plan_go(_version("go1.x", "bin/main"), {"A": "b"}, python, "/clients/python")
    assert plan.argv[3:] == (
        "/var/task/bin/main", "/opt/python3", "-I", "-S", "/var/runtime/lambent_go_rpc.py",
    )  # fmt: skip
    assert plan.kind.client_directory == "/clients/python"
    assert plan.variables == {"A": "b", "PATH": SEARCH_PATH}, "not the Python's directory first"
    between = _program(tmp_path / "between", '#!/bin/sh\necho between "$@"')
    for text, expected in (("AWS_LAMBDA_RUNTIME_API", "alone"), ("_LAMBDA_SERVER_PORT", f"between x {tmp_path}/go")):
        program = _program(tmp_path / "go", f"#!/bin/sh\n# {text}\necho alone")
        assert _run((*plan.argv[:3], program, between, "x")) == (0, f"{expected}\n")
    assert _run((*plan.argv[:3], "/no/such", between)) == (0, "between /no/such\n"), "it tells what is missing"
    alone = plan_go(_version("go1.x", "/main"), {}, None, "")
    assert (alone.argv, alone.kind.interpreter) == (("/var/task/main",), None)


@pytest.mark.parametrize(
    ("mode", "status", "said"),
    [(0o755, 0, "wrapped a b\n"), (0o644, 126, "{}: is not an executable\n"), (None, 127, "{}: does not exist\n")],
)
def test_wrappers(tmp_path: Path, mode: int | None, status: int, said: str) -> None:
    """The runtime's program comes as arguments; what is wrong is said as AWS says it."""
    path = tmp_path / "wrapper"
    if mode is not None:
        _program(path, '#!/bin/sh\necho wrapped "$@"', mode)
    argv = wrapped(_version("python3.12", AWS_LAMBDA_EXEC_WRAPPER=str(path)), ("a", "b"))
    assert _run(argv) == (status, said.format(path))
    assert wrapped(_version("python3.12"), ("a", "b")) == ("a", "b")
