"""Runtime identifiers as the API knows them. Whether this machine can run one is told by `environments`."""

from __future__ import annotations

from lambent.model.errors import InvalidParameterValueError

# In AWS's order, which is part of its error text. Source: recorded 2026 (test_update_lambda_exceptions).
SUPPORTED = (
    "nodejs20.x", "python3.14", "provided.al2023", "python3.12", "python3.13", "nodejs24.x", "nodejs22.x", "java25",
    "python3.10", "python3.11", "java21", "ruby3.3", "ruby3.4", "ruby3.2", "python3.8", "python3.9", "java17",
    "nodejs16.x", "dotnet10", "dotnet8", "java11", "dotnet6", "nodejs18.x", "provided.al2", "java8.al2",
)  # fmt: skip

# What AWS takes no more. Source: service description, shape Runtime; developer guide, "Deprecated runtimes".
DEPRECATED = frozenset(
    (
        "nodejs", "nodejs4.3", "nodejs4.3-edge", "nodejs6.10", "nodejs8.10", "nodejs10.x", "nodejs12.x", "nodejs14.x",
        "java8", "python2.7", "python3.6", "python3.7", "dotnetcore1.0", "dotnetcore2.0", "dotnetcore2.1",
        "dotnetcore3.1", "go1.x", "ruby2.5", "ruby2.7", "provided",
    )
)  # fmt: skip

# Nothing on a machine of today runs them: another language than the version after.
GONE = frozenset(("python2.7",))

# In the service description and younger than the recorded text.
NEWER = frozenset(
    (
        "nodejs26.x", "python3.15", "ruby4.0", "java8.al2023", "java11.al2023", "java17.al2023", "custom",
    )
)  # fmt: skip

# Source: developer guide, "Improving startup performance with Lambda SnapStart", supported runtimes.
SNAP_START = frozenset(
    ("java11", "java17", "java21", "java25", "python3.12", "python3.13", "python3.14", "dotnet8", "dotnet10")
)


def check_runtime(runtime: str, *, refuse_deprecated: bool) -> None:
    """Refuse an identifier that is none, or is gone, and, if asked, every one that AWS accepts no more.

    Raises:
        InvalidParameterValueError: in AWS's words (400).
    Source: recorded (test_update_lambda_exceptions; TestRuntimeValidation).
    """
    if runtime in SUPPORTED or runtime in NEWER:
        return
    if runtime not in DEPRECATED:
        raise InvalidParameterValueError(
            f"Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: "
            f"[{', '.join(SUPPORTED)}] or be a valid ARN"
        )
    if refuse_deprecated or runtime in GONE:
        raise InvalidParameterValueError(
            f"The runtime parameter of {runtime} is no longer supported for creating or updating AWS Lambda functions. "
            "We recommend you use a supported runtime while creating or updating functions."
        )
