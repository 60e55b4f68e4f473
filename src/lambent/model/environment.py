"""Words for the life of an execution environment."""

from __future__ import annotations

from enum import StrEnum


class InitializationType(StrEnum):
    """Value of AWS_LAMBDA_INITIALIZATION_TYPE."""

    ON_DEMAND = "on-demand"
    PROVISIONED_CONCURRENCY = "provisioned-concurrency"
    SNAP_START = "snap-start"


class ShutdownReason(StrEnum):
    """Why an environment ends. Source: Extensions API, SHUTDOWN event."""

    SPINDOWN = "spindown"
    TIMEOUT = "timeout"
    FAILURE = "failure"


class IsolationLevel(StrEnum):
    """How well an environment is kept in; the names of execution-environment.md section 4."""

    L0 = "L0"
    L1 = "L1"
    L2 = "L2"
    L3 = "L3"
