"""Requests in the clear are refused, where payloads are encrypted: nobody runs an activity of ours without the key.

One that was made before encryption began, and waited, is taken: by the instant that the server noted, which nobody
chooses who sends one. A refusal is final for that activity; a workflow of ours asks again, encrypted.
"""

from typing import Any

from temporalio import activity, client, worker
from temporalio.exceptions import ApplicationError

from workflows.messages import Passed


class RefuseInTheClear(client.Interceptor, worker.Interceptor):
    """For workers: looks at what every activity is asked."""

    def intercept_activity(self, next: worker.ActivityInboundInterceptor) -> worker.ActivityInboundInterceptor:  # noqa: A002 - the SDK's own name
        return _Inbound(next)


class _Inbound(worker.ActivityInboundInterceptor):
    async def execute_activity(self, input: worker.ExecuteActivityInput) -> Any:  # noqa: A002 - the SDK's own name
        info = activity.info()
        for value in input.args:
            if isinstance(value, Passed) and value.clear_since is not None and info.scheduled_time >= value.clear_since:
                raise ApplicationError(
                    f"request of {info.activity_type} came in the clear, and payloads are encrypted here",
                    type="InTheClear",
                    non_retryable=True,
                )
        return await super().execute_activity(input)
