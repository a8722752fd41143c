"""Protect the activities of a Temporal worker with permits, in two lines (with countersign_permit.py beside this):

    permits = PermitInterceptor(Verifier(keys, issuer="countersign/prod", executor="billing"), SqliteStore("used.db"))
    Worker(client, task_queue="billing", activities=[refund], interceptors=[permits])

1. The permit travels as a field: an activity takes one argument, a JSON object, whose member `permit` is the signed
   permit. Every SDK, the CLI and the UI can send that; a header most of them cannot.
2. The activity is called with what was permitted (`Permit.order`) in place of what the caller wrote, so that it cannot
   act on anything else. Its name must be the permitted operation, or `operations` says which one it carries out.
3. A permit is used once. For a step, each attempt counts: one that is tried again is refused, because nobody knows what
   the first one did. An undo may be tried again under the same activity, with `by_id` in the next run of its id, too.
4. Without a permit that holds, the activity does not run; the failure is not retryable, and its type is the code.
5. Countersign's executor `temporal` starts each step under the id `permit/<jti>`. With `by_id` a permit counts in a
   run of that id only: a workflow, or an activity that was started alone. So there is one run of it, and one effect.
   A permit that acts on one target at a time has a run for each, and each is called with that target alone. Of an undo
   the activity is called with what its order names of the permitted: a step that ended half-way touched no more.
6. A dry run is let through for the operations that are named in `rehearses`, with `dry_run` in its order: it must
   change nothing, so its permit is not used up.
"""

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

from countersign_permit import Permit, PermitError, Store, Verifier
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor


class PermitInterceptor(Interceptor):
    """Lets activities run under a permit only.

    Args:
        verifier: whose permits are believed, and for whom they are.
        store: which permits were used.
        operations: the operation of each activity that is not called like it.
        by_id: whether a permit counts only where the workflow, or the activity without one, has its id.
        rehearses: the operations whose activities change nothing where their order says `dry_run`.
    """

    def __init__(
        self,
        verifier: Verifier,
        store: Store,
        operations: Mapping[str, str] | None = None,
        *,
        by_id: bool = False,
        rehearses: Collection[str] = (),
    ) -> None:
        self.verifier = verifier
        self.store = store
        self.operations = dict(operations or {})
        self.by_id = by_id
        self.rehearses = frozenset(rehearses)

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - the SDK's
        return _Guarded(next, self)


class _Guarded(ActivityInboundInterceptor):
    def __init__(self, following: ActivityInboundInterceptor, permits: PermitInterceptor) -> None:
        super().__init__(following)
        self._permits = permits

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - the SDK's name
        try:
            permit, dry_run = self._verified(input)
            if not dry_run:
                await asyncio.to_thread(self._permits.store.claim, permit, self._attempt(permit))
        except PermitError as error:
            raise ApplicationError(str(error), type=error.code, non_retryable=True) from None
        input.args = [{**permit.order, "dry_run": dry_run}]
        return await super().execute_activity(input)

    def _verified(self, given: ExecuteActivityInput) -> tuple[Permit, bool]:
        """The permit of a call, and whether it is to be rehearsed only."""
        value = given.args[0] if len(given.args) == 1 and isinstance(given.args[0], Mapping) else {}
        token = value.get("permit")
        if not isinstance(token, str):
            raise PermitError("no_permit", "send one json object whose member permit is the signed permit")
        permit = self._permits.verifier.verify(token)
        info = activity.info()
        if self._permits.operations.get(info.activity_type, info.activity_type) != permit.operation:
            raise PermitError("wrong_operation", f"the permit is for {permit.operation}, this is {info.activity_type}")
        if _asks_dry_run(value) and permit.operation in self._permits.rehearses:
            return permit, True
        if permit.dry_run or _asks_dry_run(value):
            raise PermitError("dry_run", "it is of a dry run: nothing is carried out under it")
        if self._permits.by_id:
            return permit.of_run(info.workflow_id or info.activity_id).within(value.get("order")), False
        if permit.claims.get("one_by_one"):
            raise PermitError("wrong_id", "it acts on one target at a time, which the id of its run names: set by_id")
        return permit.within(value.get("order")), False

    def _attempt(self, permit: Permit) -> str:
        if self._permits.by_id and permit.direction == "undo":
            return "undo"  # its runs have one id, and follow each other
        info = activity.info()
        run = info.workflow_run_id or info.activity_run_id
        return f"{run}/{info.activity_id}/{'undo' if permit.direction == 'undo' else info.attempt}"


def _asks_dry_run(value: Any) -> bool:
    """Whether the caller asks for no more than a rehearsal; that never lets anything be done."""
    order = value.get("order")
    return isinstance(order, Mapping) and order.get("dry_run") is True
