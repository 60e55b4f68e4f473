"""The innermost layer: the rules, pure, testable without Lambda."""

import uuid
from decimal import Decimal


class InvalidOrder(Exception):
    """The order cannot be placed."""


def place_order(request):
    """Return the order with its total. Raises InvalidOrder."""
    items = (request or {}).get("items") or []
    if not items:
        raise InvalidOrder("an order needs items")
    total = Decimal(0)
    for item in items:
        if int(item["quantity"]) < 1:
            raise InvalidOrder("a quantity is at least 1")
        total += Decimal(str(item["price"])) * int(item["quantity"])
    return {"id": str(uuid.uuid4()), "items": items, "total": str(total)}
