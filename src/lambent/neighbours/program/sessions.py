"""Who calls, by the daemon's word: sessions of execution roles are its own, and MiniStack knows nothing of them."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lambent.neighbours.program.bridge import Bridge

_PRINCIPAL = "x-lambent-principal"


def sts(_bridge: Bridge, module: Any) -> None:
    """STS: GetCallerIdentity tells a function its role's session."""
    known = module._caller_identity

    def caller_identity(headers: Mapping[str, str], query_params: object = None) -> Any:
        arn = headers.get(_PRINCIPAL, "")
        parts = arn.split(":", 5)
        if len(parts) != 6 or not parts[5].startswith("assumed-role/"):
            return known(headers, query_params)
        role, _, session = parts[5].removeprefix("assumed-role/").partition("/")
        return {
            "accessKey": "",
            "accountId": parts[4],
            "userArn": arn,
            "userId": f"{_role_id(parts[4], role)}:{session}",
            "principalType": "AssumedRole",
            "principalName": session,
            "isTemporary": True,
        }

    vars(module)["_caller_identity"] = caller_identity


def _role_id(account_id: str, role: str) -> str:
    """Return what IAM calls the role's id, or what has its form: functions may name roles that nobody made."""
    from ministack.services import iam

    made = iam._roles.get(role)
    if made is not None and made.get("RoleId"):
        return str(made["RoleId"])
    digest = hashlib.sha256(f"{account_id}/{role}".encode()).digest()
    return "AROA" + base64.b32encode(digest).decode()[:17]


PARTICIPANTS: dict[str, Callable[[Bridge, Any], None]] = {"sts": sts}
