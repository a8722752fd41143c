"""A search attribute that the namespace does not have, or has with another type, is not set and stops nothing."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, RemoveSearchAttributesRequest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from activities.attributes import RegisteredAttributes
from activities.connection import connect
from deploy.dev import Stack
from policy.search_attributes import ENVIRONMENT, STATE, TIER
from tests.world import record, running_world

KEYWORD = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
INT = IndexedValueType.INDEXED_VALUE_TYPE_INT


async def _namespace(stack: Stack, attributes: Mapping[str, "IndexedValueType.ValueType"]) -> Client:
    """A client of a new namespace that has these search attributes."""
    name = f"attributes-{uuid4().hex[:8]}"
    client = await connect(address=stack.temporal_address, namespace=name)
    request = RegisterNamespaceRequest(namespace=name)
    request.workflow_execution_retention_period.FromTimedelta(timedelta(days=1))
    await client.workflow_service.register_namespace(request)
    add = AddSearchAttributesRequest(namespace=name, search_attributes=attributes)
    async with asyncio.timeout(20):
        while True:
            try:
                if attributes:
                    await client.operator_service.add_search_attributes(add)
                await client.count_workflows()
            except RPCError:
                await asyncio.sleep(0.1)
                continue
            return client


@pytest.mark.parametrize("attributes", [{}, {TIER: INT, STATE: KEYWORD}], ids=["none", "another type"])
async def test_what_does_not_fit_is_not_set(stack: Stack, attributes: dict[str, "IndexedValueType.ValueType"]) -> None:
    """An action runs to its end, and what is registered as it should be is set."""
    client = await _namespace(stack, attributes)
    async with record(stack) as name, running_world(stack, client, name) as world:
        handle = await world.start(world.propose("bench.touch"))
        result = await world.result(handle)
        found = (await handle.describe()).search_attributes

    assert result.outcome == "succeeded"
    assert set(found) & {TIER, STATE} == ({STATE} if attributes else set())


async def test_what_is_taken_away_is_not_set_any_more(stack: Stack) -> None:
    """A worker that asks again learns what it must not set."""
    client = await _namespace(stack, {TIER: KEYWORD, ENVIRONMENT: KEYWORD})
    registered = RegisteredAttributes(client)
    async with asyncio.timeout(20):
        while registered.names != {TIER, ENVIRONMENT}:
            await registered.refresh()

    remove = RemoveSearchAttributesRequest(namespace=client.namespace, search_attributes=[TIER])
    await client.operator_service.remove_search_attributes(remove)

    async with asyncio.timeout(20):
        while registered.names != {ENVIRONMENT}:
            await registered.refresh()
