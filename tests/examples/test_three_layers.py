"""examples/three-layers: a handler, a controller, rules."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.examples.deployment import EXAMPLES, deploy, invoke

_NAME = "example-three-layers"


@pytest.mark.slow
def test_orders_are_placed_and_found(lambda_client: Any) -> None:
    """Each layer's part: statuses, totals, what is kept."""
    deploy(lambda_client, _NAME, EXAMPLES / "three-layers", Handler="handler.handler")

    def call(method: str, path: str, body: object = None) -> tuple[int, Any]:
        event = {"httpMethod": method, "path": path, "body": None if body is None else json.dumps(body)}
        answer = invoke(lambda_client, _NAME, event)
        assert answer.error is None, answer
        return answer.payload["statusCode"], json.loads(answer.payload["body"])

    items = [{"price": 0.1, "quantity": 3}, {"price": "19.99", "quantity": 1}]
    status, order = call("POST", "/orders", {"items": items})
    assert (status, order["total"]) == (201, "20.29")
    assert call("GET", f"/orders/{order['id']}") == (200, order)
    assert call("GET", "/orders/none")[0] == 404
    assert call("POST", "/orders", {"items": []}) == (400, {"message": "an order needs items"})
    assert call("DELETE", "/orders")[0] == 404
