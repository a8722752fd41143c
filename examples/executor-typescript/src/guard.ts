/**
 * Lets the activities of a worker run under a permit only:
 *
 *     Worker.create({ …, interceptors: { activity: [guard(verifier, store)] } })
 *
 * 1. An activity takes one JSON object with `permit`, the signed permit, and `order`, what is asked. It is called with
 *    the permitted order in place of both.
 * 2. Its type is the permitted operation, and the workflow, or the activity without one, has the id `permit/<jti>`: under
 *    an id Temporal starts one run, so there is one. A permit that acts on one target at a time has a run for each.
 *    An undo is for what its order names of the permitted: a step that ended half-way touched no more.
 * 3. A permit is used once. For a step each attempt counts: nobody knows what the first one did. An undo may be tried
 *    again.
 * 4. A dry run is let through, changes nothing and uses up nothing.
 */
import { Context, ApplicationFailure } from '@temporalio/activity';
import type { ActivityExecuteInput, ActivityInboundCallsInterceptor, ActivityInterceptorsFactory, Next } from '@temporalio/worker';
import { ofRun, within, PermitError, type JsonObject, type Permit, type Verifier } from './permit';
import type { FolderStore } from './store';

/** What an activity is called with: everything in it was permitted. */
export interface Order {
  permitId: string;
  direction: 'do' | 'undo';
  operation: string;
  parameters: JsonObject;
  resolved: readonly string[];
  targets: readonly JsonObject[];
  dryRun: boolean;
}

export function guard(verifier: Verifier, store: FolderStore): ActivityInterceptorsFactory {
  return () => ({ inbound: new Guard(verifier, store) });
}

interface Asked {
  dry_run?: unknown;
  resolved?: unknown;
  targets?: unknown;
}

class Guard implements ActivityInboundCallsInterceptor {
  constructor(private readonly verifier: Verifier, private readonly store: FolderStore) {}

  async execute(input: ActivityExecuteInput, next: Next<ActivityInboundCallsInterceptor, 'execute'>): Promise<unknown> {
    let order: Order;
    try {
      order = this.permitted(input.args);
    } catch (error) {
      if (error instanceof PermitError) throw ApplicationFailure.nonRetryable(error.message, error.code);
      throw error;
    }
    return await next({ ...input, args: [order] });
  }

  private permitted(args: unknown[]): Order {
    const given = args.length === 1 ? (args[0] as { permit?: unknown; order?: Asked } | null) : null;
    if (typeof given?.permit !== 'string') {
      throw new PermitError('no_permit', 'send one json object whose member permit is the signed permit');
    }
    const permit = this.verifier.verify(given.permit);
    const info = Context.current().info;
    if (info.activityType !== permit.operation) {
      throw new PermitError('wrong_operation', `the permit is for ${permit.operation}, this is ${info.activityType}`);
    }
    const dryRun = given.order?.dry_run === true;
    if (permit.dryRun && !dryRun) {
      throw new PermitError('dry_run', 'it is of a dry run: nothing is carried out under it');
    }
    if (dryRun) return orderOf(permit, dryRun);
    const part = within(ofRun(permit, info.workflowExecution?.workflowId ?? info.activityId), given.order);
    this.store.claim(part, attempt(part));
    return orderOf(part, dryRun);
  }
}

function attempt(permit: Permit): string {
  if (permit.direction === 'undo') return 'undo';
  const info = Context.current().info;
  return `${info.workflowExecution?.runId ?? info.activityRunId}/${info.activityId}/${info.attempt}`;
}

function orderOf(permit: Permit, dryRun: boolean): Order {
  const { id, direction, operation, parameters, resolved, targets } = permit;
  return { permitId: id, direction, operation, parameters, resolved, targets, dryRun };
}
