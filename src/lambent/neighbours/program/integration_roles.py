"""Integrations of APIs that name a role: they call functions by its rights, and no resource policy is asked."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lambent.neighbours.program.bridge import Bridge

_ROLE = "credentialsArn"
_ACCOUNT = re.compile(r":lambda:[a-z0-9-]+:(\d{12}):function:")


def call_by_role(bridge: Bridge, module: Any, name: str, member: str) -> None:
    """Let a function of a module, whose first argument is an integration, call by the role in its `member`.

    A role of another account than the function's has the policy asked like everybody. Source: API Gateway's API
    reference, `credentials` of Integration: a role's ARN, or `arn:aws:iam::*:user/*` for the caller's own rights.
    """
    invoke = getattr(module, name)

    async def invoke_by_role(integration: dict[str, Any], *arguments: Any, **named: Any) -> Any:
        role = str(integration.get(member) or "")
        account = _account_of_function(integration)
        if role.split(":")[4:5] not in ([account], ["*"]) or not account:
            return await invoke(integration, *arguments, **named)
        source = bridge.caller("apigateway")._replace(account=account, has_role=True)
        with bridge.calling(source):
            return await invoke(integration, *arguments, **named)

    vars(module)[name] = invoke_by_role


def keep_roles(module: Any) -> None:
    """Let integrations of HTTP APIs keep their roles, and show them."""
    create, update = module._create_integration, module._update_integration

    def kept(api_id: str, data: dict[str, Any], answer: tuple[int, Any, bytes]) -> tuple[int, Any, bytes]:
        if answer[0] >= 300 or _ROLE not in data:
            return answer
        integration = module._integrations[api_id][json.loads(answer[2])["integrationId"]]
        integration.pop(_ROLE, None)
        integration |= {_ROLE: data[_ROLE]} if data[_ROLE] else {}
        shown: tuple[int, Any, bytes] = module._apigw_response(integration, answer[0])
        return shown

    def create_whole(api_id: str, data: dict[str, Any]) -> tuple[int, Any, bytes]:
        return kept(api_id, data, create(api_id, data))

    def update_whole(api_id: str, integration_id: str, data: dict[str, Any]) -> tuple[int, Any, bytes]:
        return kept(api_id, data, update(api_id, integration_id, data))

    vars(module).update(_create_integration=create_whole, _update_integration=update_whole)


def _account_of_function(integration: dict[str, Any]) -> str:
    uri = str(integration.get("uri") or integration.get("integrationUri") or "")
    found = _ACCOUNT.search(uri)
    return found[1] if found else ""
