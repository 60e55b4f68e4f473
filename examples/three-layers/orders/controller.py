"""The middle layer: which request means which action, and which mistake which status."""

from orders import logic


class Controller:
    """Knows paths and statuses, no events and no rules."""

    def __init__(self, storage):
        self._storage = storage

    def answer(self, method, path, body):
        """Return status and answer."""
        parts = path.strip("/").split("/")
        try:
            if (method, parts) == ("POST", ["orders"]):
                order = logic.place_order(body)
                self._storage.put(order)
                return 201, order
            if method == "GET" and parts[0] == "orders" and len(parts) == 2:
                order = self._storage.get(parts[1])
                return (200, order) if order is not None else (404, {"message": "no such order"})
        except logic.InvalidOrder as error:
            return 400, {"message": str(error)}
        return 404, {"message": "no such path"}
