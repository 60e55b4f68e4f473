"""Layers: archives that lie below /opt beside a function's own code."""

from __future__ import annotations

import re

from msgspec import Struct

from lambent.model.function import CodeReference  # noqa: TC001 - the store reads the annotations of what it keeps

# Source: service description, shape LayerName (an ARN or a name) and LayerVersionArn.
_REFERENCE = re.compile(
    r"(?:arn:(?P<partition>aws[a-zA-Z-]*)?:lambda:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):layer:)?"
    r"(?P<name>[a-zA-Z0-9-_]+)(?::(?P<version>\d+))?"
)


class LayerArn(Struct, frozen=True):
    """A layer, or one version of it (None: the layer itself)."""

    account_id: str
    region: str
    name: str
    version: int | None = None
    partition: str = "aws"

    def __str__(self) -> str:
        text = f"arn:{self.partition}:lambda:{self.region}:{self.account_id}:layer:{self.name}"
        return text if self.version is None else f"{text}:{self.version}"


def parse_layer(reference: str, *, account_id: str, region: str) -> LayerArn | None:
    """Return what a name or an ARN means, or None; the caller's account and region stand in for a mere name."""
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        return None
    version = match["version"]
    return LayerArn(
        match["account"] or account_id,
        match["region"] or region,
        match["name"],
        None if version is None else int(version),
        match["partition"] or "aws",
    )


class Layer(Struct, frozen=True):
    """A layer's name and its last number: it outlives every version, for AWS gives no number twice.

    `version_count` is how many versions there are now.
    """

    account_id: str
    region: str
    name: str
    last_version: int
    revision_id: str
    version_count: int = 1

    @property
    def arn(self) -> LayerArn:
        """Its ARN, without version."""
        return LayerArn(self.account_id, self.region, self.name)


class LayerVersion(Struct, frozen=True):
    """One published archive, immutable. Compatibilities are None where the publisher named none.

    `created_ms` counts since the Unix epoch. What is compatible is information: nothing is refused for it, as on AWS.
    """

    account_id: str
    region: str
    name: str
    version: int
    code: CodeReference
    created_ms: int
    description: str
    revision_id: str
    license_info: str | None = None
    compatible_runtimes: tuple[str, ...] | None = None
    compatible_architectures: tuple[str, ...] | None = None

    @property
    def arn(self) -> LayerArn:
        """Its ARN, with version."""
        return LayerArn(self.account_id, self.region, self.name, self.version)


class LayerStatement(Struct, frozen=True):
    """Whom a layer version is open to: "*", an account (12 digits) or the ARN of its root; maybe one organization's."""

    statement_id: str
    action: str
    principal: str
    organization_id: str | None = None

    def allows(self, account_id: str) -> bool:
        """Whether accounts may read it. Organizations do not exist here, so nobody is a member of one."""
        if self.organization_id is not None:
            return False
        return self.principal in ("*", account_id) or self.principal.endswith(f"::{account_id}:root")


class LayerPolicy(Struct, frozen=True):
    """The statements of one layer version, in the order they were added; there is none without statements."""

    account_id: str
    region: str
    name: str
    version: int
    statements: tuple[LayerStatement, ...]
    revision_id: str
