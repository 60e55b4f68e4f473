"""Every limit: value, unit, whether AWS lets an account raise it, and where the figure comes from."""

from __future__ import annotations

from msgspec import Struct


class Quota(Struct, frozen=True):
    """One limit. `value` is in the unit that the name ends with.

    An adjustable one is soft: an account in a region may have another value, from `value_min` to `value_max`. The
    others are hard.
    """

    name: str
    value: int
    is_adjustable: bool
    source: str
    value_min: int = 0
    value_max: int = 0


class QuotaState(Struct, frozen=True):
    """A quota and what is in force for one account in one region; `default` holds where nothing was set."""

    quota: Quota
    value: int
    default: int


class AccountQuota(Struct, frozen=True):
    """What a soft quota is for one account in one region, where that is not the default."""

    account_id: str
    region: str
    name: str
    value: int
    revision_id: str


_DOC = "AWS Lambda developer guide, quotas"
_DESCRIPTION = "service description"

CONCURRENT_EXECUTIONS = Quota("concurrent_executions", 1_000, True, _DOC, 1, 1_000_000)
UNRESERVED_CONCURRENCY_MIN = Quota("unreserved_concurrency_min", 100, False, _DOC)
CODE_STORAGE_BYTES = Quota("code_storage_bytes", 75 * 1024**3, True, _DOC, 1024**2, 1024**5)
ZIP_REQUEST_BYTES = Quota("zip_request_bytes", 52_428_800, False, _DOC)
ZIP_HTTP_REQUEST_BYTES = Quota("zip_http_request_bytes", 70_167_211, False, "observed")
UNPACKED_BYTES = Quota("unpacked_bytes", 262_144_000, False, _DOC)
PAYLOAD_BYTES = Quota("payload_bytes", 6_291_456, False, _DOC)
ASYNC_PAYLOAD_BYTES = Quota("async_payload_bytes", 1_048_576, False, "API reference, Invoke")
# AWS answers up to 6 MB plus a little: 6,291,556 is the figure in its error text.
RESPONSE_BYTES = Quota("response_bytes", 6_291_556, False, "observed")
STREAMED_RESPONSE_BYTES = Quota("streamed_response_bytes", 209_715_200, False, _DOC)
CLIENT_CONTEXT_BYTES = Quota("client_context_bytes", 3_583, False, "API reference, Invoke")
ENVIRONMENT_BYTES = Quota("environment_bytes", 4_096, False, _DOC)
TIMEOUT_SECONDS_MAX = Quota("timeout_seconds_max", 900, False, _DOC)
MEMORY_MIB_MIN = Quota("memory_mib_min", 128, False, _DOC)
MEMORY_MIB_MAX = Quota("memory_mib_max", 10_240, False, _DOC)
EPHEMERAL_STORAGE_MIB_MIN = Quota("ephemeral_storage_mib_min", 512, False, _DOC)
EPHEMERAL_STORAGE_MIB_MAX = Quota("ephemeral_storage_mib_max", 10_240, False, _DOC)
FILE_DESCRIPTORS = Quota("file_descriptors", 1_024, False, _DOC)
PROCESSES = Quota("processes", 1_024, False, _DOC)
INIT_SECONDS = Quota("init_seconds", 10, False, _DOC)
EXTENSIONS = Quota("extensions", 10, False, "developer guide, Lambda Extensions API")
LOG_TAIL_BYTES = Quota("log_tail_bytes", 4_096, False, "API reference, Invoke")
TAGS_PER_FUNCTION = Quota("tags_per_function", 50, False, _DOC)
CAPACITY_PROVIDERS = Quota("capacity_providers", 1_000, True, _DOC, 1, 1_000_000)
POLICY_BYTES = Quota("policy_bytes", 20_480, False, _DOC)
LAYERS_PER_FUNCTION = Quota("layers_per_function", 5, False, _DOC)
ZIP_ENTRIES = Quota("zip_entries", 200_000, False, "ours: bounds the work of unpacking a hostile zip")

QUOTAS: tuple[Quota, ...] = tuple(value for value in dict(globals()).values() if isinstance(value, Quota))

assert all(one.value_min <= one.value <= one.value_max for one in QUOTAS if one.is_adjustable)
assert UNRESERVED_CONCURRENCY_MIN.value < CONCURRENT_EXECUTIONS.value
assert ZIP_REQUEST_BYTES.value * 4 // 3 < ZIP_HTTP_REQUEST_BYTES.value
assert ZIP_REQUEST_BYTES.value < UNPACKED_BYTES.value < CODE_STORAGE_BYTES.value
assert ASYNC_PAYLOAD_BYTES.value <= PAYLOAD_BYTES.value <= RESPONSE_BYTES.value <= STREAMED_RESPONSE_BYTES.value
