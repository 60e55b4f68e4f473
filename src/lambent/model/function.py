"""The function as AWS describes it: one frozen snapshot of configuration and code."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping  # noqa: TC003 - the store reads the annotations of what it keeps
from enum import StrEnum

from msgspec import Struct, field

from lambent.model.arn import LATEST, FunctionArn


class PackageType(StrEnum):
    """How the code came."""

    ZIP = "Zip"
    IMAGE = "Image"


class FunctionState(StrEnum):
    """`State` of a function version. Source: service description, shape State."""

    PENDING = "Pending"
    ACTIVE = "Active"
    INACTIVE = "Inactive"
    FAILED = "Failed"


class UpdateStatus(StrEnum):
    """`LastUpdateStatus`. Source: service description, shape LastUpdateStatus."""

    SUCCESSFUL = "Successful"
    FAILED = "Failed"
    IN_PROGRESS = "InProgress"


class LogFormat(StrEnum):
    """Form of the lines that platform and runtime write."""

    TEXT = "Text"
    JSON = "JSON"


class LoggingConfig(Struct, frozen=True):
    """`LoggingConfig`: levels are None in text format. `log_group` None means /aws/lambda/NAME."""

    log_format: LogFormat = LogFormat.TEXT
    application_log_level: str | None = None
    system_log_level: str | None = None
    log_group: str | None = None


class VpcConfig(Struct, frozen=True):
    """`VpcConfig` as the caller gave it: answered, never attached. `vpc_id` None: EC2 was not asked yet."""

    subnet_ids: tuple[str, ...] = ()
    security_group_ids: tuple[str, ...] = ()
    ipv6_allowed_for_dual_stack: bool = False
    vpc_id: str | None = None


class FileSystemConfig(Struct, frozen=True):
    """One item of `FileSystemConfigs`. `direct_s3_read` is S3FilesConfig.DirectS3Read."""

    arn: str
    local_mount_path: str
    direct_s3_read: str | None = None


class ImageConfig(Struct, frozen=True):
    """`ImageConfig`: what overrides an image's own start; empty means the image's."""

    entry_point: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    working_directory: str | None = None


class DurableConfig(Struct, frozen=True):
    """`DurableConfig` of a durable function: days that a history is kept, seconds that an execution may take."""

    retention_days: int
    execution_timeout_seconds: int | None = None
    kms_key_arn: str | None = None


class CodeReference(Struct, frozen=True):
    """A package in the code store. `sha256` is lower-case hex of the zip; sizes in bytes."""

    sha256: str
    size_bytes: int
    unpacked_bytes: int


class LayerReference(Struct, frozen=True):
    """A layer version that a function uses. It names the package itself: the version may be deleted and is used on."""

    arn: str
    code: CodeReference


class FunctionVersion(Struct, frozen=True, weakref=True):
    """One snapshot of a function's configuration and code. A change makes a new value.

    `configuration_id` is new whenever code or configuration changes and untouched by state transitions: an
    environment made for another one retires. `environment` holds plain text and never reaches a log or repr;
    `environment_given` tells an Environment without variables from none at all, which AWS answers differently.
    `image_manifest` is the digest (hex) of the image that `image_uri` meant when it was given; None until a registry
    was asked. `runtime_build` is that of the installed root that runs its runtime, None for what the host has.
    `environment_cipher` is the variables under the KMS key (base64): then only it is stored, and `environment` is empty
    wherever nobody has decrypted it. `latest_configuration_id` is, of a published version, the `configuration_id` that
    $LATEST had then: its own differs.
    Units: seconds, MiB, bytes; `last_modified_ms` since the Unix epoch.
    """

    account_id: str
    region: str
    name: str
    role: str
    code: CodeReference
    configuration_id: str
    revision_id: str
    last_modified_ms: int
    version: str = LATEST
    package_type: PackageType = PackageType.ZIP
    runtime: str | None = None
    handler: str | None = None
    description: str = ""
    timeout_seconds: int = 3
    memory_mib: int = 128
    ephemeral_storage_mib: int = 512
    architecture: str = "x86_64"
    environment: Mapping[str, str] = field(default_factory=dict)
    environment_error: tuple[str, str] | None = None
    environment_cipher: str | None = None
    logging: LoggingConfig = field(default_factory=LoggingConfig)
    tracing_mode: str = "PassThrough"
    kms_key_arn: str | None = None
    dead_letter_target_arn: str | None = None
    state: FunctionState = FunctionState.ACTIVE
    state_reason: str | None = None
    state_reason_code: str | None = None
    last_update_status: UpdateStatus = UpdateStatus.SUCCESSFUL
    last_update_status_reason: str | None = None
    last_update_status_reason_code: str | None = None
    environment_given: bool = False
    vpc: VpcConfig | None = None
    file_systems: tuple[FileSystemConfig, ...] = ()
    layers: tuple[LayerReference, ...] = ()
    snap_start_apply_on: str = "None"
    source_kms_key_arn: str | None = None
    latest_configuration_id: str | None = None
    image_uri: str | None = None
    image_manifest: str | None = None
    runtime_build: str | None = None
    image_config: ImageConfig | None = None
    durable: DurableConfig | None = None
    tenant_isolation_mode: str | None = None

    def __repr__(self) -> str:
        # A struct would print every member, and the variables are secrets.
        return f"FunctionVersion({self.arn}:{self.version}, configuration_id={self.configuration_id!r})"

    @property
    def image_digest(self) -> str | None:
        """The image's SHA-256 in lower-case hex, if it is known: only a registry knows what a tag means."""
        if self.image_manifest is not None or self.image_uri is None:
            return self.image_manifest
        return self.image_uri.partition("@sha256:")[2] or None

    @property
    def is_unsettled(self) -> bool:
        """Whether it is between two states, as CreateFunction and the updates leave it."""
        return self.state is FunctionState.PENDING or self.last_update_status is UpdateStatus.IN_PROGRESS

    @property
    def arn(self) -> FunctionArn:
        """The ARN without a qualifier."""
        return FunctionArn(account_id=self.account_id, region=self.region, name=self.name)

    @property
    def runtime_version_arn(self) -> str | None:
        """`RuntimeVersionConfig.RuntimeVersionArn`: AWS ends it with a hash of the runtime's build."""
        if self.runtime is None:
            return None
        return runtime_version_arn(self.region, self.runtime, self.runtime_build)

    @property
    def opt_digest(self) -> str | None:
        """The name of the tree that is /opt: the only layer's package, or that of several merged; None without layers.

        Lower-case hex, like a package's: equal layers in equal order are one tree.
        """
        digests = [layer.code.sha256 for layer in self.layers]
        if len(digests) < 2:
            return digests[0] if digests else None
        return hashlib.sha256("/".join(digests).encode()).hexdigest()

    @property
    def packages(self) -> tuple[str, ...]:
        """The names of all that must be kept for it: its package, its layers, the tree of /opt, its image, its root."""
        own = (self.code.sha256,) if self.code.sha256 else ()
        opt = (self.opt_digest,) if self.opt_digest is not None else ()
        roots = tuple(each for each in (self.kept_image, self.runtime_build) if each is not None)
        return tuple(dict.fromkeys((*own, *(layer.code.sha256 for layer in self.layers), *opt, *roots)))

    @property
    def kept_image(self) -> str | None:
        """The image that must stay unpacked for it: that of an inactive function may go and come back."""
        return None if self.state is FunctionState.INACTIVE else self.image_manifest

    @property
    def log_group(self) -> str:
        """The log group its environments write to."""
        return self.logging.log_group or f"/aws/lambda/{self.name}"


@functools.lru_cache(maxsize=512)
def runtime_version_arn(region: str, runtime: str, build: str | None) -> str:
    """Return the ARN of a runtime's build: an installed root by its image's digest, None for what the host has."""
    text = runtime if build is None else f"{runtime}@{build}"
    return f"arn:aws:lambda:{region}::runtime:{hashlib.sha256(text.encode()).hexdigest()}"


class FunctionTags(Struct, frozen=True):
    """The tags of a function: they belong to no version. One that never had any has none of this."""

    account_id: str
    region: str
    name: str
    tags: Mapping[str, str]
    revision_id: str = "1"


class RoutingConfig(Struct, frozen=True):
    """Shares (0 to 1) of an alias's invocations that go to other versions than its own; AWS takes one at most."""

    additional_version_weights: Mapping[str, float]


class Alias(Struct, frozen=True):
    """A name for a version, `function_version` ($LATEST or a number), of the function `function_name`."""

    account_id: str
    region: str
    function_name: str
    name: str
    function_version: str
    revision_id: str
    description: str = ""
    routing_config: RoutingConfig | None = None

    @property
    def arn(self) -> FunctionArn:
        """The function's ARN with the alias as its qualifier."""
        return FunctionArn(self.account_id, self.region, self.function_name, self.name)

    def points_at(self, version: str) -> bool:
        """Whether some of its invocations may go to `version`."""
        additional = self.routing_config.additional_version_weights if self.routing_config is not None else ()
        return version == self.function_version or version in additional


class VersionCounter(Struct, frozen=True):
    """The last version number given to a function of this name: it outlives the function, for none is given twice.

    Source: developer guide, "Manage Lambda function versions".
    """

    account_id: str
    region: str
    name: str
    last_number: int
    revision_id: str
