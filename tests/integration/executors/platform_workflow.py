"""The workflow of the platform in the tests."""

from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError


@workflow.defn(name="RefundOrder")
class RefundOrder:
    """Carries out a refund by one activity, and says what that says."""

    @workflow.run
    async def run(self, given: dict[str, Any]) -> Any:
        try:
            return await workflow.execute_activity(
                "orders.refund",
                given,
                start_to_close_timeout=timedelta(seconds=60),
                heartbeat_timeout=timedelta(seconds=30),
                retry_policy=RetryPolicy(maximum_attempts=1),
                cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            )
        except ActivityError as error:
            if isinstance(error.cause, ApplicationError):
                # The workflow did nothing besides, so that what the activity says of itself holds for it.
                raise ApplicationError(error.cause.message, type=error.cause.type, non_retryable=True) from None
            raise
