"""Which of our search attributes the namespace has, with which type, and what an action sets of them.

An attribute that is missing, or is registered as something else, would fail every workflow task that sets it. So only
those that fit are set, and what fits is asked again while a worker runs: a task that failed because somebody took one
away runs its local activity again, and is told without it.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.cases import CaseFile
from policy import search_attributes
from policy.approval.standing import Standing
from policy.lifecycle import State
from policy.proposal import ReceivedProposal
from policy.result import ActionResult

log = logging.getLogger("countersign.attributes")

_REFRESH_SECONDS = 20.0
_TYPES = {
    "Keyword": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    "KeywordList": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD_LIST,
    "Datetime": IndexedValueType.INDEXED_VALUE_TYPE_DATETIME,
}


class RegisteredAttributes:
    """The names that may be set now."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.names: frozenset[str] = frozenset()

    async def refresh(self) -> None:
        """Ask the server.

        Raises:
            RPCError: it does not answer.

        """
        known = await self._registered()
        names = frozenset(name for name, kind in search_attributes.TYPES.items() if known.get(name) == _TYPES[kind])
        if names != self.names and (missing := sorted(frozenset(search_attributes.TYPES) - names)):
            log.warning(
                "search attributes %s are not registered with their type and are not set: run countersign setup",
                ", ".join(missing),
            )
        self.names = names

    async def _registered(self) -> Mapping[str, int]:
        """All custom attributes of the namespace by name; none where the server does not let us list them."""
        request = ListSearchAttributesRequest(namespace=self._client.namespace)
        try:
            return (await self._client.operator_service.list_search_attributes(request)).custom_attributes
        except RPCError as error:
            if error.status not in (RPCStatusCode.UNIMPLEMENTED, RPCStatusCode.PERMISSION_DENIED):
                raise
            return {}

    def of_case(self, file: CaseFile, standing: Standing | None) -> dict[str, Any]:
        """The attributes of an action that waits or runs, those that may be set."""
        pending = standing is not None and standing.resolution == "pending"
        current = standing.current if standing is not None and pending else None
        return self._known(
            search_attributes.attributes(
                state=State.pending if pending else State.executing,
                tier=file.revision.assessment.risk_tier if file.revision else None,
                target=file.proposal.target,
                environment=file.proposal.environment,
                proposer=file.proposal.agent.id,
                waiting_groups=current.groups if current else (),
                next_deadline=current.deadline if current else None,
                denied_by=file.denied_by,
            )
        )

    def of_result(
        self, received: ReceivedProposal, result: ActionResult, file: CaseFile | None = None
    ) -> dict[str, Any]:
        """The attributes of an action that ended, those that may be set."""
        proposal = received.proposal
        return self._known(
            search_attributes.attributes(
                state=result.outcome if result.resolution == "approved" else result.resolution,
                tier=result.risk_tier,
                target=proposal.target,
                environment=proposal.environment,
                proposer=proposal.agent.id,
                denied_by=file.denied_by if file is not None else (),
            )
        )

    def _known(self, attributes: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in attributes.items() if name in self.names}

    @contextlib.asynccontextmanager
    async def kept_fresh(self) -> AsyncIterator[None]:
        """Ask again every 20 seconds inside the block; while the server is away, what was known stands."""
        task = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_REFRESH_SECONDS)
            with contextlib.suppress(RPCError):
                await self.refresh()
