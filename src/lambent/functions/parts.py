"""What the control plane is made from and which rules of the installation it follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lambent.model.concurrency import Allocation, AllocationStatus
from lambent.model.quotas import CODE_STORAGE_BYTES, CONCURRENT_EXECUTIONS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from lambent.clock import Clock
    from lambent.functions.encryption.variables import VariableKeys
    from lambent.model.arn import FunctionArn
    from lambent.model.caller import Caller, UploadedBlob
    from lambent.model.function import FunctionVersion, VpcConfig
    from lambent.model.platform_event import PlatformEvent
    from lambent.store import CodeStore, FunctionStore, InstallationKey


async def _unknown(_caller: Caller, _vpc: VpcConfig) -> str:
    return ""


async def _never(_version: FunctionVersion) -> bool:
    return False


async def _as_given(_caller: Caller, version: FunctionVersion) -> FunctionVersion:
    return version


def _nobody(_principal_arn: str, _account_id: str, _action: str, _arn: FunctionArn) -> bool:
    return False


def _perhaps(_arn: FunctionArn) -> bool:
    return True


def _unallocated(_arn: FunctionArn) -> Allocation:
    return Allocation(0, 0, AllocationStatus.IN_PROGRESS)


class ControlPlaneRules(NamedTuple):
    """Settings: runtimes.refuse_deprecated, quotas.concurrent_executions, quotas.code_storage_bytes, and
    function_urls.base_url as `function_urls_at`."""

    refuse_deprecated: bool = False
    concurrent_executions: int = CONCURRENT_EXECUTIONS.value
    code_storage_bytes: int = CODE_STORAGE_BYTES.value
    function_urls_at: str = ""


class ControlPlaneParts(NamedTuple):
    """Given by app.py.

    `prepare(version)` makes ready what the version needs and returns None, or why this machine cannot run it.
    `is_known(arn)` tells of a name whether this node knows a function by it; another may have taken it a moment ago.
    `is_ready_at_once(version)` tells of one that is not committed yet whether it has all that it needs already.
    `resolve_image(version)` returns the digest (hex) of the image that a function of an image means; it raises
    StateReasonError. `sweep_images(in_use)` removes images that are not in use. `runtime_builds(runtime)` returns the
    builds of a runtime, the present one first: installed roots by their images' digests, None for what the host has.
    `networked(caller, version)` returns the version with its VPC known; it raises InvalidParameterValueError with AWS's
    text when EC2 refuses. `vpc_id(caller, vpc)` tells it of subnets alone, with the same errors.
    `download(caller, bucket, key, object_version)` fetches a package from S3 into the spool; it raises
    InvalidParameterValueError with AWS's text when S3 refuses; None when no S3 endpoint is set.
    `allows(principal_arn, account_id, action, arn)`: whether a function's policy lets an identity of another account.
    `code_in_environments()` names packages (sha256) that live environments still have mounted.
    `allocation_of(arn)` tells how far provisioned concurrency of a version or an alias has come.
    `random_bytes(n)` is the source of ids. `keys` are KMS's. `note(event)` takes what an operator should see counted.
    """

    store: FunctionStore
    code: CodeStore
    key: InstallationKey
    clock: Clock
    random_bytes: Callable[[int], bytes]
    prepare: Callable[[FunctionVersion], Awaitable[str | None]]
    rules: ControlPlaneRules
    is_known: Callable[[FunctionArn], bool] = _perhaps
    is_ready_at_once: Callable[[FunctionVersion], Awaitable[bool]] = _never
    resolve_image: Callable[[FunctionVersion], Awaitable[str]] | None = None
    runtime_builds: Callable[[str], Sequence[str | None]] = lambda _: ()
    sweep_images: Callable[[Collection[str]], Awaitable[int]] | None = None
    networked: Callable[[Caller, FunctionVersion], Awaitable[FunctionVersion]] = _as_given
    vpc_id: Callable[[Caller, VpcConfig], Awaitable[str]] = _unknown
    download: Callable[[Caller, str, str, str | None], Awaitable[UploadedBlob]] | None = None
    allows: Callable[[str, str, str, FunctionArn], bool] = _nobody
    code_in_environments: Callable[[], Collection[str]] = tuple
    allocation_of: Callable[[FunctionArn], Allocation] = _unallocated
    keys: VariableKeys | None = None
    note: Callable[[PlatformEvent], None] = lambda _: None
