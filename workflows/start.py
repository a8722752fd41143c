"""How this run was started, as far as Temporal tells: what a platform may not choose is refused by the first activity.

A timeout of ten years or more is none: that is what Temporal's test server writes where nobody asked for one. So is one
of no length: that is what a server writes in a run that continues another one.
"""

from datetime import timedelta

from temporalio import workflow

from workflows.messages import StartFacts

_NEVER = timedelta(days=3650)


def start_facts() -> StartFacts:
    """What was chosen at the start of this run."""
    info = workflow.info()
    return StartFacts(
        workflow_id=info.workflow_id,
        run_id=info.run_id,
        execution_timeout=_ends_it(info.execution_timeout),
        run_timeout=_ends_it(info.run_timeout),
        cron=bool(info.cron_schedule),
        retry_policy=info.retry_policy is not None,
        parent=info.parent is not None,
    )


def _ends_it(timeout: timedelta | None) -> bool:
    return timeout is not None and timedelta(0) < timeout < _NEVER
