"""HTTP APIs that are made with a target: with an integration, a route and a stage that deploys itself.

Source: API Gateway's API reference, CreateApi: `target`, "quick create".
"""

from __future__ import annotations

import json
from typing import Any

_DEFAULT = "$default"


def complete(module: Any, api_id: str, given: dict[str, Any]) -> None:
    """Make what belongs to an API by its `target`, `routeKey` and `credentialsArn`. `module`: MiniStack's HTTP APIs."""
    target = str(given.get("target") or "")
    if not target or module._routes.get(api_id):
        return
    is_url = target.startswith(("http://", "https://"))
    integration = {
        "integrationType": "HTTP_PROXY" if is_url else "AWS_PROXY",
        "integrationUri": target,
        "integrationMethod": "ANY" if is_url else "POST",
        "payloadFormatVersion": "1.0" if is_url else "2.0",
    }
    if given.get("credentialsArn"):
        integration["credentialsArn"] = str(given["credentialsArn"])
    _, _, body = module._create_integration(api_id, integration)
    made = json.loads(body)["integrationId"]
    module._create_route(api_id, {"routeKey": given.get("routeKey") or _DEFAULT, "target": f"integrations/{made}"})
    if _DEFAULT not in module._stages.get(api_id, {}):
        module._create_stage(api_id, {"stageName": _DEFAULT, "autoDeploy": True})
