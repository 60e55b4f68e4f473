"""What the store's changes mean for the data plane and the event planes: one table, from a change to who is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lambent.model.arn import FunctionArn
from lambent.model.concurrency import ProvisionedConcurrency, ReservedConcurrency
from lambent.model.configs.deployment import Deployment
from lambent.model.configs.event import EventInvokeConfig
from lambent.model.configs.event_source import EventSourceMapping
from lambent.model.configs.function_url import FunctionUrlConfig
from lambent.model.configs.management import RecursionConfig
from lambent.model.configs.policy import FunctionPolicy
from lambent.model.configs.schedule import Firing, RuleScope, Schedule, ScheduledRule
from lambent.model.function import Alias, FunctionVersion
from lambent.model.quotas import CONCURRENT_EXECUTIONS, AccountQuota

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.environments import EnvironmentPool
    from lambent.environments.provisioning import ProvisionedEnvironments
    from lambent.events import AsyncPlane, EventSources
    from lambent.gateways import FunctionUrlTable
    from lambent.invocation import Catalog, ConcurrencyLimiter, RecursionGuard, ResourcePolicies
    from lambent.store import Resources
    from lambent.store.contracts import RecordKey, ResourceChange


class FeedReaders(NamedTuple):
    """Who is told. `learn(version)` is called for each version that appears or changes, `touched` for each function
    of which a version or an alias comes, changes or goes, `scheduled` for all that has to do with schedules, `deployed`
    for deployments."""

    catalog: Catalog
    pool: EnvironmentPool
    provisioned: ProvisionedEnvironments
    policies: ResourcePolicies
    function_urls: FunctionUrlTable
    concurrency: ConcurrencyLimiter
    recursion: RecursionGuard
    asynchronous: AsyncPlane
    event_sources: EventSources
    learn: Callable[[FunctionVersion], None]
    touched: Callable[[FunctionArn], None] = lambda _: None
    scheduled: Callable[[ResourceChange], None] = lambda _: None
    deployed: Callable[[ResourceChange], None] = lambda _: None


class ChangeFeed:
    """Hands the store's changes on, in order. Scope: process; keeps nothing."""

    def __init__(self, resources: Resources, readers: FeedReaders) -> None:
        self._resources = resources
        self._readers = readers
        self._told: dict[type, Callable[[ResourceChange], None]] = {
            FunctionVersion: self._function,
            Alias: self._alias,
            FunctionPolicy: self._policy,
            FunctionUrlConfig: self._function_url,
            ReservedConcurrency: self._reserved,
            ProvisionedConcurrency: self._provisioned,
            EventSourceMapping: lambda change: readers.event_sources.changed(change.key.name, change.value),
            EventInvokeConfig: self._event_invoke_config,
            RecursionConfig: self._recursion,
            AccountQuota: self._quota,
            **dict.fromkeys((Schedule, ScheduledRule, RuleScope, Firing), readers.scheduled),
            Deployment: readers.deployed,
        }

    async def run(self) -> None:
        """Read the feed until cancelled."""
        async for batch in self._resources.changes():
            for change in batch:
                tell = self._told.get(change.resource)
                if tell is not None:
                    tell(change)

    def _function(self, change: ResourceChange) -> None:
        key, value, readers = change.key, change.value, self._readers
        arn = _function_of(key)
        if value is None:
            readers.catalog.remove(arn, key.qualifier)
        else:
            readers.catalog.put(value)
            readers.learn(value)
        readers.pool.retire(arn, key.qualifier, value.configuration_id if value is not None else None)
        readers.provisioned.changed(arn)
        readers.touched(arn)

    def _alias(self, change: ResourceChange) -> None:
        if change.value is None:
            self._readers.catalog.remove_alias(_function_of(change.key), change.key.qualifier)
        else:
            self._readers.catalog.put_alias(change.value)
        self._readers.provisioned.changed(_function_of(change.key))
        self._readers.touched(_function_of(change.key))

    def _policy(self, change: ResourceChange) -> None:
        key = change.key
        if change.value is None:
            self._readers.policies.remove(FunctionArn(key.account_id, key.region, key.name, key.qualifier or None))
        else:
            self._readers.policies.put(change.value)

    def _function_url(self, change: ResourceChange) -> None:
        key = change.key
        if change.value is None:
            self._readers.function_urls.remove((key.account_id, key.region, key.name, key.qualifier))
        else:
            self._readers.function_urls.put(change.value)

    def _reserved(self, change: ResourceChange) -> None:
        executions = None if change.value is None else change.value.executions
        self._readers.concurrency.put_reserved(_function_of(change.key), executions)

    def _provisioned(self, change: ResourceChange) -> None:
        key = change.key
        if change.value is None:
            self._readers.provisioned.remove(FunctionArn(key.account_id, key.region, key.name, key.qualifier))
        else:
            self._readers.provisioned.put(change.value)

    def _event_invoke_config(self, change: ResourceChange) -> None:
        key, configs = change.key, self._readers.asynchronous.configs
        if change.value is None:
            configs.remove(FunctionArn(key.account_id, key.region, key.name, key.qualifier))
        else:
            configs.put(change.value)

    def _recursion(self, change: ResourceChange) -> None:
        loop = None if change.value is None else change.value.recursive_loop
        self._readers.recursion.put(_function_of(change.key), loop)

    def _quota(self, change: ResourceChange) -> None:
        key = change.key
        if key.name == CONCURRENT_EXECUTIONS.name:
            limit = None if change.value is None else change.value.value
            self._readers.concurrency.put_limit(key.account_id, key.region, limit)


def _function_of(key: RecordKey) -> FunctionArn:
    return FunctionArn(key.account_id, key.region, key.name)
