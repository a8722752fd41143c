/**
 * A step may be a workflow, too. It hands on what it was started with: the permit is verified in the activity, which sees
 * the workflow's id.
 *
 * It says `Refused` itself where its only activity did: of a failure that just passes through Countersign believes
 * nothing, because a workflow may have done something else before.
 */
import { ActivityFailure, ApplicationFailure, proxyActivities } from '@temporalio/workflow';

interface Acting {
  'site.maintenance.show'(given: unknown): Promise<unknown>;
}

const acting = proxyActivities<Acting>({ startToCloseTimeout: '30s', retry: { maximumAttempts: 1 } });

export async function ShowMaintenance(given: unknown): Promise<unknown> {
  try {
    return await acting['site.maintenance.show'](given);
  } catch (error) {
    if (error instanceof ActivityFailure && error.cause instanceof ApplicationFailure) {
      throw ApplicationFailure.nonRetryable(error.cause.message, error.cause.type ?? undefined);
    }
    throw error;
  }
}
