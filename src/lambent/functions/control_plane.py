"""All operations of the control plane in one object: method = operation in snake case."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lambent.functions.account import Account, AccountQuotas, CodeStorage
from lambent.functions.aliases import Aliases
from lambent.functions.code_signing.configs import CodeSigningConfigs
from lambent.functions.code_signing.signatures import Signatures
from lambent.functions.concurrency.provisioned import ProvisionedConcurrencies
from lambent.functions.concurrency.reserved import ReservedConcurrencies
from lambent.functions.concurrency.scaling import FunctionScalings
from lambent.functions.configs.capacity_providers import CapacityProviders
from lambent.functions.configs.event_invoke_configs import EventInvokeConfigs
from lambent.functions.configs.function_urls import FunctionUrls
from lambent.functions.configs.recursion import Recursion
from lambent.functions.configs.runtime_management import RuntimeManagement
from lambent.functions.configs.runtime_moves import RuntimeMoves
from lambent.functions.foreign import ForeignFunctions
from lambent.functions.functions import Functions, FunctionTools
from lambent.functions.ids import Ids
from lambent.functions.layers.layers import Layers
from lambent.functions.layers.permissions import LayerPermissions
from lambent.functions.packages.links import CodeLinks
from lambent.functions.packages.sweeping import Sweeper
from lambent.functions.policies.permissions import Permissions
from lambent.functions.tags import Tags
from lambent.functions.transitions import Transitions
from lambent.functions.versions import Publisher, Versions

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
        self._moves = RuntimeMoves(parts.store, parts.runtime_builds, ids)
        self.move_runtime = self._moves.move
        self._transitions = Transitions(parts.store, parts.prepare, ids.new, parts.resolve_image)
        self._sweeper = Sweeper(parts.store, parts.code, parts.code_in_environments, parts.sweep_images)
        self.want_sweep = self._sweeper.want
        self.deactivate = self._transitions.deactivate
        self.reactivate = self._transitions.reactivate
        self._links = CodeLinks(parts.code, parts.key, parts.clock)
        self.acting = ForeignFunctions(parts.allows).acting
        publisher = Publisher(parts.store, ids, parts.clock)
        signatures = Signatures(parts, ids)
        storage = CodeStorage(parts.store, parts.rules, parts.clock)
        tools = FunctionTools(
            ids, self._transitions, publisher, self._links, self._sweeper, signatures, storage, self._moves
        )
        functions = Functions(parts, tools)
        self.create_function = functions.create_function
        self.get_function = functions.get_function
        self.get_function_configuration = functions.get_function_configuration
        self.update_function_code = functions.update_function_code
        self.update_function_configuration = functions.update_function_configuration
        self.delete_function = functions.delete_function
        self.list_functions = functions.list_functions
        versions = Versions(parts, publisher, ids, storage)
        self.publish_version = versions.publish_version
        self.list_versions_by_function = versions.list_versions_by_function
        aliases = Aliases(parts, ids)
        self.create_alias = aliases.create_alias
        self.get_alias = aliases.get_alias
        self.update_alias = aliases.update_alias
        self.delete_alias = aliases.delete_alias
        self.list_aliases = aliases.list_aliases
        self._offer_configurations(parts, ids, storage)
        signing = CodeSigningConfigs(parts, ids, signatures)
        self.create_code_signing_config = signing.create_code_signing_config
        self.get_code_signing_config = signing.get_code_signing_config
        self.update_code_signing_config = signing.update_code_signing_config
        self.delete_code_signing_config = signing.delete_code_signing_config
        self.list_code_signing_configs = signing.list_code_signing_configs
        self.list_functions_by_code_signing_config = signing.list_functions_by_code_signing_config
        self.put_function_code_signing_config = signing.put_function_code_signing_config
        self.get_function_code_signing_config = signing.get_function_code_signing_config
        self.delete_function_code_signing_config = signing.delete_function_code_signing_config
        tags = Tags(parts.store, ids)
        self.list_tags = tags.list_tags
        self.tag_resource = tags.tag_resource
        self.untag_resource = tags.untag_resource
        self._offer_concurrency(parts, ids)

    def _offer_concurrency(self, parts: ControlPlaneParts, ids: Ids) -> None:
        """Offer the account's quotas and what functions take of its concurrency."""
        self.quotas = AccountQuotas(parts.store.resources, parts.rules, ids)
        self.get_account_settings = Account(parts.store, self.quotas).get_account_settings
        reserved = ReservedConcurrencies(parts.store, self.quotas, ids)
        self.put_function_concurrency = reserved.put_function_concurrency
        self.get_function_concurrency = reserved.get_function_concurrency
        self.delete_function_concurrency = reserved.delete_function_concurrency
        provisioned = ProvisionedConcurrencies(parts, self.quotas, ids)
        self.put_provisioned_concurrency_config = provisioned.put_provisioned_concurrency_config
        self.get_provisioned_concurrency_config = provisioned.get_provisioned_concurrency_config
        self.delete_provisioned_concurrency_config = provisioned.delete_provisioned_concurrency_config
        self.list_provisioned_concurrency_configs = provisioned.list_provisioned_concurrency_configs
        scalings = FunctionScalings(parts.store, ids)
        self.put_function_scaling_config = scalings.put_function_scaling_config
        self.get_function_scaling_config = scalings.get_function_scaling_config

    def _offer_configurations(self, parts: ControlPlaneParts, ids: Ids, storage: CodeStorage) -> None:
        """Offer what hangs on functions: policies, event invoke configs, URLs."""
        resources = parts.store.resources
        permissions = Permissions(resources, ids)
        self.add_permission = permissions.add_permission
        self.remove_permission = permissions.remove_permission
        self.get_policy = permissions.get_policy
        self.put_resource_policy = permissions.put_resource_policy
        self.get_resource_policy = permissions.get_resource_policy
        self.delete_resource_policy = permissions.delete_resource_policy
        layers = Layers(parts, ids, self._links, self._sweeper, storage)
        self.publish_layer_version = layers.publish_layer_version
        self.get_layer_version = layers.get_layer_version
        self.get_layer_version_by_arn = layers.get_layer_version_by_arn
        self.list_layers = layers.list_layers
        self.list_layer_versions = layers.list_layer_versions
        self.delete_layer_version = layers.delete_layer_version
        layer_permissions = LayerPermissions(parts, ids)
        self.add_layer_version_permission = layer_permissions.add_layer_version_permission
        self.get_layer_version_policy = layer_permissions.get_layer_version_policy
        self.remove_layer_version_permission = layer_permissions.remove_layer_version_permission
        invoke_configs = EventInvokeConfigs(resources, ids, parts.clock)
        self.put_function_event_invoke_config = invoke_configs.put_function_event_invoke_config
        self.update_function_event_invoke_config = invoke_configs.update_function_event_invoke_config
        self.get_function_event_invoke_config = invoke_configs.get_function_event_invoke_config
        self.delete_function_event_invoke_config = invoke_configs.delete_function_event_invoke_config
        self.list_function_event_invoke_configs = invoke_configs.list_function_event_invoke_configs
        urls = FunctionUrls(resources, ids, parts.clock, parts.random_bytes, parts.rules.function_urls_at)
        self.create_function_url_config = urls.create_function_url_config
        self.update_function_url_config = urls.update_function_url_config
        self.get_function_url_config = urls.get_function_url_config
        self.delete_function_url_config = urls.delete_function_url_config
        self.list_function_url_configs = urls.list_function_url_configs
        self._offer_management(parts, ids)

    def _offer_management(self, parts: ControlPlaneParts, ids: Ids) -> None:
        """Offer how functions are managed: loops, runtime updates, capacity, what is not there yet."""
        resources = parts.store.resources
        recursion = Recursion(resources, ids)
        self.put_function_recursion_config = recursion.put_function_recursion_config
        self.get_function_recursion_config = recursion.get_function_recursion_config
        management = RuntimeManagement(resources, ids, self._moves)
        self.put_runtime_management_config = management.put_runtime_management_config
        self.get_runtime_management_config = management.get_runtime_management_config
        providers = CapacityProviders(parts, ids)
        self.create_capacity_provider = providers.create_capacity_provider
        self.get_capacity_provider = providers.get_capacity_provider
        self.update_capacity_provider = providers.update_capacity_provider
        self.delete_capacity_provider = providers.delete_capacity_provider
        self.list_capacity_providers = providers.list_capacity_providers
        self.list_function_versions_by_capacity_provider = providers.list_function_versions_by_capacity_provider

    async def run(self) -> None:
        """Settle functions and sweep code, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._transitions.run())
            tasks.create_task(self._sweeper.run())

    async def open_code(self, sha256: str, query: Mapping[str, str]) -> CodeDownload:
        """Return the package that a URL of GetFunction leads to: `GET /_lambent/v1/code/{sha256}`.

        Raises:
            AccessDeniedError: forged or older than ten minutes (403).
            ResourceNotFoundError: no function uses the package any more (404).
        """
        return await self._links.open(sha256, query)
