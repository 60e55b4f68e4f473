"""Whose code may be deployed. Nothing here says that code is signed: without AWS Signer no signature is verified."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class CodeSigningPolicy(StrEnum):
    """`UntrustedArtifactOnDeployment`: what becomes of a package without a signature that could be verified."""

    WARN = "Warn"
    ENFORCE = "Enforce"


class CodeSigningConfig(Struct, frozen=True):
    """A code signing configuration. `config_id` sorts by creation. `last_modified_ms` since the Unix epoch."""

    account_id: str
    region: str
    config_id: str
    allowed_publishers: tuple[str, ...]
    policy: CodeSigningPolicy
    last_modified_ms: int
    revision_id: str
    description: str | None = None

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"arn:aws:lambda:{self.region}:{self.account_id}:code-signing-config:{self.config_id}"


class CodeSigningFence(Struct, frozen=True):
    """Written whenever a function gets the configuration, so that its deletion cannot overlook one."""

    account_id: str
    region: str
    config_id: str
    revision_id: str


class FunctionCodeSigning(Struct, frozen=True):
    """Which configuration (of the same account and region) a function has."""

    account_id: str
    region: str
    function_name: str
    config_id: str
    revision_id: str
