"""Runtime identifiers as the API knows them. Whether this machine can run one is told by `environments`."""

from __future__ import annotations

from lambent.model.errors import InvalidParameterValueError

# In AWS's order, which is part of its error text. Source: recorded 2026 (test_update_lambda_exceptions).
SUPPORTED = (
    "nodejs20.x", "python3.14", "provided.al2023", "python3.12", "python3.13", "nodejs24.x", "nodejs22.x", "java25",
    "python3.10", "python3.11", "java21", "ruby3.3", "ruby3.4", "ruby3.2", "python3.8", "python3.9", "java17",
    "nodejs16.x", "dotnet10", "dotnet8", "java11", "dotnet6", "nodejs18.x", "provided.al2", "java8.al2",
)  # fmt: skip

# Source: developer guide, "Improving startup performance with Lambda SnapStart", supported runtimes.
SNAP_START = frozenset(
    ("java11", "java17", "java21", "java25", "python3.12", "python3.13", "python3.14", "dotnet8", "dotnet10")
)


def check_runtime(runtime: str, *, refuse_deprecated: bool) -> None:
    """Refuse an identifier that is none, and, if asked, one that AWS accepts no more.

    Raises:
        InvalidParameterValueError: in AWS's words (400).
    Source: recorded (test_update_lambda_exceptions; TestRuntimeValidation).
    """
    if runtime in SUPPORTED:
        return
    if runtime not in _known():
        raise InvalidParameterValueError(
            f"Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: "
            f"[{', '.join(SUPPORTED)}] or be a valid ARN"
        )
    if refuse_deprecated:
        raise InvalidParameterValueError(
            f"The runtime parameter of {runtime} is no longer supported for creating or updating AWS Lambda functions. "
            "We recommend you use a supported runtime while creating or updating functions."
        )


def _known() -> tuple[str, ...]:
    """Return every identifier of the service description."""
    # The shapes of an operation are imported when it is first called, so that the server starts fast.
    from lambent.wire.generated import create_function

    identifiers: tuple[str, ...] = create_function.INPUT[1]["Runtime"][0][4]
    return identifiers
