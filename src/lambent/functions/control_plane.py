"""All operations of the control plane in one object: method = operation in snake case."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lambent.functions.account import Account
from lambent.functions.functions import Functions
from lambent.functions.ids import Ids
from lambent.functions.packages.links import CodeLinks
from lambent.functions.packages.sweeping import Sweeper
from lambent.functions.policies.permissions import Permissions
from lambent.functions.tags import Tags
from lambent.functions.transitions import Transitions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lambent.functions.packages.links import CodeDownload
    from lambent.functions.parts import ControlPlaneParts


class ControlPlane:
    """The control plane's operations, each `async def operation(caller, request) -> response`. Scope: cluster.

    Keeps no state of its own. `run` must run for functions to leave Pending and for unused code to go.
    """

    def __init__(self, parts: ControlPlaneParts) -> None:
        ids = Ids(parts.random_bytes)
        self._transitions = Transitions(parts.store, parts.prepare, ids.new)
        self._sweeper = Sweeper(parts.store, parts.code, parts.code_in_environments)
        self._links = CodeLinks(parts.code, parts.key, parts.clock)
        functions = Functions(parts, ids, self._transitions, self._links, self._sweeper)
        self.create_function = functions.create_function
        self.get_function = functions.get_function
        self.get_function_configuration = functions.get_function_configuration
        self.update_function_code = functions.update_function_code
        self.update_function_configuration = functions.update_function_configuration
        self.delete_function = functions.delete_function
        self.list_functions = functions.list_functions
        permissions = Permissions(parts.store.resources, ids)
        self.add_permission = permissions.add_permission
        self.remove_permission = permissions.remove_permission
        self.get_policy = permissions.get_policy
        self.put_resource_policy = permissions.put_resource_policy
        self.get_resource_policy = permissions.get_resource_policy
        self.delete_resource_policy = permissions.delete_resource_policy
        tags = Tags(parts.store)
        self.list_tags = tags.list_tags
        self.tag_resource = tags.tag_resource
        self.untag_resource = tags.untag_resource
        self.get_account_settings = Account(parts.store, parts.rules).get_account_settings

    async def run(self) -> None:
        """Settle functions and sweep code, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._transitions.run())
            tasks.create_task(self._sweeper.run())

    def open_code(self, sha256: str, query: Mapping[str, str]) -> CodeDownload:
        """Return the package that a URL of GetFunction leads to: `GET /_lambent/v1/code/{sha256}`.

        Raises:
            AccessDeniedError: forged or older than ten minutes (403).
            ResourceNotFoundError: no function uses the package any more (404).
        """
        return self._links.open(sha256, query)
