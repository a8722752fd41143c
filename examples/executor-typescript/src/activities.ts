/**
 * What this worker does: it shows a maintenance page for a site, which is a file in a folder, and hides it again.
 *
 * Each effect is a line in `journal.log`, so that it can be counted. What an activity answers is what
 * `docs/executors.md` of Countersign has: `done`, `refused`, `failed` or `unknown`.
 */
import { appendFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ApplicationFailure } from '@temporalio/activity';
import type { JsonObject } from './permit';
import type { Order } from './guard';

export interface Answer {
  status: 'done' | 'refused' | 'failed' | 'unknown';
  message?: string;
  touched?: string[];
}

const SITE = /^[a-z][a-z0-9-]{0,62}$/;

export class Pages {
  constructor(private readonly folder: string) {
    mkdirSync(folder, { recursive: true });
  }

  /** The activities that act, by the operation that each carries out. They are called with what was permitted. */
  acting(): Record<string, (order: Order) => Promise<Answer>> {
    return { 'site.maintenance.show': (order) => this.show(order), 'site.maintenance.hide': (order) => this.hide(order) };
  }

  /** Those that only look; they need no permit, and change nothing. */
  asking(): Record<string, (asked: JsonObject) => Promise<JsonObject>> {
    return {
      maintenanceShown: async (asked) => ({ value: existsSync(this.page(siteOf(asked.parameters as JsonObject))) }),
      maintenanceSites: async (asked) => {
        const site = siteOf(asked.parameters as JsonObject);
        const [resource] = asked.resources as string[];
        return { targets: [{ id: site, resource: resource ?? '', state: { shown: existsSync(this.page(site)) } }] };
      },
    };
  }

  private async show(order: Order): Promise<Answer> {
    const site = siteOf(order.parameters);
    const text = order.parameters.text;
    if (typeof text !== 'string') return { status: 'refused', message: 'parameter text is not a text: write a string' };
    if (existsSync(this.page(site))) return { status: 'refused', message: `site ${site} is in maintenance already` };
    if (order.dryRun) return { status: 'done', message: `would show a maintenance page for ${site}` };
    writeFileSync(this.page(site), text, { flag: 'wx' });
    this.note(`show ${site} ${order.permitId}`);
    return { status: 'done', touched: [site] };
  }

  private async hide(order: Order): Promise<Answer> {
    const site = siteOf(order.parameters);
    if (order.dryRun) return { status: 'done', message: `would hide the maintenance page of ${site}` };
    // Hidden twice is hidden: an undo may be asked for again.
    rmSync(this.page(site), { force: true });
    this.note(`hide ${site} ${order.permitId}`);
    return { status: 'done', touched: [site] };
  }

  private page(site: string): string {
    return join(this.folder, `${site}.html`);
  }

  private note(line: string): void {
    appendFileSync(join(this.folder, 'journal.log'), `${line}\n`);
  }
}

function siteOf(parameters: JsonObject): string {
  const site = parameters.site;
  if (typeof site !== 'string' || !SITE.test(site)) {
    throw ApplicationFailure.nonRetryable('parameter site is no name of a site', 'Refused');
  }
  return site;
}
