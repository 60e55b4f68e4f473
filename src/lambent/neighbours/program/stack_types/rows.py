"""A row of MiniStack's table of types: its properties are checked before anything is made or changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Properties = dict[str, Any]
    Made = tuple[str, dict[str, Any]]


def checked_row(
    check: Callable[[str, Properties], None],
    create: Callable[[str, Properties, str], Made],
    update: Callable[[str, Properties, Properties], Made] | None,
    delete: Callable[[str, Properties], None],
) -> dict[str, Any]:
    """Return a type's row. `check` takes the resource's name in the template and its properties, and may raise.

    Without `update` every change replaces the resource.
    """

    def checked_create(logical_id: str, properties: Properties, stack: str) -> Made:
        check(logical_id, properties)
        return create(logical_id, properties, stack)

    row: dict[str, Any] = {"create": checked_create, "delete": delete}
    if update is None:
        return row

    def checked_update(
        identifier: str, old: Properties, new: Properties, _stack: str, logical_id: str | None = None
    ) -> Made:
        check(logical_id or identifier, new)
        return update(identifier, old, new)

    return row | {"update": checked_update, "update_with_logical_id": True}
