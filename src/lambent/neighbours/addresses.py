"""Where this installation is, for those who are told by the embedded services."""

from __future__ import annotations

# Where every sandbox has us.
_INSIDE = "http://127.0.0.1:4566"
_EVERYWHERE = frozenset({"0.0.0.0", "::"})


def base_url(address: tuple[str, int] | None) -> str:
    """Return how callers on this machine reach a server that listens at this address."""
    host, port = address or ("127.0.0.1", 4566)
    return f"http://{'127.0.0.1' if host in _EVERYWHERE else host}:{port}"


def responses_at(address: tuple[str, int] | None, *, is_sandboxed: bool, is_led: bool) -> str:
    """Return where functions send the responses of custom resources, `{region}` for that of the stack without dashes.

    `is_led`: AWS's names lead to us inside sandboxes; then it is S3's, as on AWS. Providers may speak TLS only.
    """
    if not is_sandboxed:
        return base_url(address)
    if not is_led:
        return _INSIDE
    return "https://cloudformation-custom-resource-response-{region}.s3.amazonaws.com"
