"""Puts Lambda's types where MiniStack's stacks look for them, and lets them run beside its loop."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from lambent.neighbours.program.stack_types import deployments, nesting
from lambent.neighbours.program.stack_types import properties as p
from lambent.neighbours.program.stack_types.custom import CustomResources
from lambent.neighbours.program.stack_types.daemon import Daemon
from lambent.neighbours.program.stack_types.functions import Functions
from lambent.neighbours.program.stack_types.operations import Operations, ResourceFailedError
from lambent.neighbours.program.stack_types.others import (
    CapacityProviders,
    Layers,
    Mappings,
    Permissions,
    SigningConfigs,
)
from lambent.neighbours.program.stack_types.recovery import Recovery
from lambent.neighbours.program.stack_types.rows import checked_row
from lambent.neighbours.program.stack_types.templates.checks import template_problem
from lambent.neighbours.program.stack_types.templates.macros import TYPE as MACRO
from lambent.neighbours.program.stack_types.templates.macros import Macros
from lambent.neighbours.program.stack_types.templates.repairs import repair
from lambent.neighbours.program.stack_types.versions import Configs, Versions

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.neighbours.program.bridge import Bridge

    Properties = p.Properties
    Made = tuple[str, dict[str, Any]]
    NamePhysically = Callable[..., str]

_PREFIX = "AWS::Lambda::"
_MODULES = "ministack.services.cloudformation"


class TypeRows:
    """What makes, changes and removes a resource of each type, as MiniStack's table has them. Scope: process."""

    def __init__(self, operations: Operations, physical_name: NamePhysically) -> None:
        """`physical_name(stack, logical_id, max_len=…)`: a name for what a template leaves without one."""
        self._name = physical_name
        self._functions = Functions(operations)
        self._versions = Versions(operations)
        self._configs = Configs(operations)
        self._permissions = Permissions(operations)
        self._layers = Layers(operations)
        self._mappings = Mappings(operations)
        self._signing = SigningConfigs(operations)
        self._providers = CapacityProviders(operations)

    def table(self) -> dict[str, dict[str, Any]]:
        """Return the rows: create(logical_id, properties, stack), update(id, old, new, stack, logical_id), delete."""
        rows: dict[str, tuple[Any, Any, Any]] = {
            p.FUNCTION: (self._create_function, self._functions.update, self._one(self._functions.delete)),
            p.VERSION: (
                self._plain(self._versions.publish),
                lambda arn, _old, new: self._versions.update_version(arn, new),
                self._one(self._versions.unpublish),
            ),
            p.ALIAS: (
                self._plain(self._versions.create_alias),
                self._versions.update_alias,
                self._one(self._versions.delete_alias),
            ),
            p.PERMISSION: (self._add_permission, None, self._permissions.remove),
            p.LAYER_VERSION: (self._publish_layer, None, self._one(self._layers.delete)),
            p.LAYER_VERSION_PERMISSION: (
                self._add_layer_permission,
                None,
                self._one(self._permissions.remove_of_layer),
            ),
            p.EVENT_SOURCE_MAPPING: (
                self._plain(self._mappings.create),
                self._mappings.update,
                self._one(self._mappings.delete),
            ),
            p.EVENT_INVOKE_CONFIG: (
                self._plain(self._configs.create_events),
                lambda _id, _old, new: self._configs.put_events(new),
                lambda _id, given: self._configs.delete_events(given),
            ),
            p.URL: (
                self._plain(self._configs.create_url),
                lambda _id, old, new: self._configs.update_url(old, new),
                lambda _id, given: self._configs.delete_url(given),
            ),
            p.CODE_SIGNING_CONFIG: (
                self._plain(self._signing.create),
                self._signing.update,
                self._one(self._signing.delete),
            ),
            p.CAPACITY_PROVIDER: (self._create_provider, self._providers.update, self._one(self._providers.delete)),
        }
        return {name: _row(name, *row) for name, row in rows.items()}

    def _create_function(self, logical_id: str, properties: Properties, stack: str) -> Made:
        name = properties.get("FunctionName") or self._name(stack, logical_id, max_len=64)
        return self._functions.create(name, properties)

    def _create_provider(self, logical_id: str, properties: Properties, stack: str) -> Made:
        name = properties.get("CapacityProviderName") or self._name(stack, logical_id, max_len=64)
        return self._providers.create(name, properties)

    def _add_permission(self, logical_id: str, properties: Properties, stack: str) -> Made:
        return self._permissions.add(stack, logical_id, properties)

    def _add_layer_permission(self, logical_id: str, properties: Properties, stack: str) -> Made:
        return self._permissions.add_of_layer(stack, logical_id, properties)

    def _publish_layer(self, logical_id: str, properties: Properties, _stack: str) -> Made:
        return self._layers.publish(logical_id, properties)

    @staticmethod
    def _plain(make: Callable[[Properties], Made]) -> Callable[[str, Properties, str], Made]:
        return lambda _logical_id, properties, _stack: make(properties)

    @staticmethod
    def _one(remove: Callable[[str], None]) -> Callable[[str, Properties], None]:
        return lambda identifier, _properties: remove(identifier)


def _row(
    type_name: str,
    create: Callable[[str, Properties, str], Made],
    update: Callable[[str, Properties, Properties], Made] | None,
    delete: Callable[[str, Properties], None],
) -> dict[str, Any]:
    return checked_row(partial(_check, type_name), create, update, delete)


def _check(type_name: str, logical_id: str, properties: Properties) -> None:
    found = p.problem(type_name, logical_id, properties)
    if found is not None:
        raise ResourceFailedError(found)


def register(bridge: Bridge) -> None:
    """Let MiniStack's stacks have these types in place of its own, and what it does wrongly done right."""
    modules = {
        name: sys.modules[f"{_MODULES}.{name}"]
        for name in ("stacks", "provisioners", "engine", "handlers", "changesets", "helpers", "custom_resource")
    }
    provisioners: Any = modules["provisioners"]
    responses: Any = sys.modules["ministack.core.responses"]
    daemon = Daemon(*bridge.daemon, lambda: (responses.get_account_id(), responses.get_region()))
    operations = Operations(daemon.send)
    _register_types(modules, TypeRows(operations, provisioners._physical_name))
    package: Any = sys.modules[_MODULES]
    _check_templates(modules)
    CustomResources(bridge, modules["custom_resource"], package._stacks).take_part()
    repair(package, modules)
    run: Any = sys.modules["ministack.core.concurrency"].run_reentrant
    macros = Macros(bridge, package, {**modules, "responses": responses}, run)
    macros.take_part()
    provisioners._RESOURCE_HANDLERS[MACRO] = macros.row()
    provisioners._REPLACING_PROPERTIES[MACRO] = ("Name",)
    nested = provisioners._RESOURCE_HANDLERS[nesting.TYPE]
    nested["create"] = nesting.whole_or_nothing(nested["create"], nested["delete"], package._stacks)
    helpers = vars(modules["helpers"])
    helpers["_resolve_document"] = nesting.with_path_style(helpers["_resolve_document"])
    parts = {**modules, "responses": responses}
    Recovery(package, parts, operations, lambda: bridge.keep("cloudformation")).take_part()
    deployments.register(daemon.send, modules, package)


def _register_types(modules: dict[str, Any], rows: TypeRows) -> None:
    provisioners = modules["provisioners"]
    provisioners._RESOURCE_HANDLERS.update(rows.table())
    for name, described in p.TYPES.items():
        provisioners._REPLACING_PROPERTIES[name] = described.replacing
    provisioners._CUSTOM_NAME_REPLACEMENT[p.CAPACITY_PROVIDER] = {"name": "CapacityProviderName"}
    for name in (p.EVENT_SOURCE_MAPPING, p.CODE_SIGNING_CONFIG, p.CAPACITY_PROVIDER):
        provisioners._STACK_TAG_PROPERTY[name] = ("Tags", "list")
    known = vars(modules["stacks"])
    # The daemon's answer needs this process' loop: it asks S3 here for packages, and tells of new functions.
    known["_runs_on_worker_thread"] = _or_ours(known["_runs_on_worker_thread"], _PREFIX)
    # An update may have changed the code before the configuration is refused.
    known["_sends_back_failed_update"] = _or_ours(known["_sends_back_failed_update"], p.FUNCTION)


def _check_templates(modules: dict[str, Any]) -> None:
    """Refuse what CloudFormation refuses before there is a stack."""
    validate = modules["engine"].validate_template_support

    def validated(template: Properties, *arguments: Any, **named: Any) -> None:
        validate(template, *arguments, **named)
        found = None if template.get("Transform") else template_problem(template)
        if found is not None:
            raise ValueError(found)

    for name in ("engine", "handlers", "changesets"):
        vars(modules[name])["validate_template_support"] = validated


def _or_ours(asked: Callable[[str], bool], prefix: str) -> Callable[[str], bool]:
    return lambda resource_type: resource_type.startswith(prefix) or asked(resource_type)
