/**
 * The worker: `node dist/worker.js settings.json`, with
 *
 *     { "address": "host:7233", "namespace": "site", "queue": "site", "folder": "/srv/site",
 *       "keys": "permit-keys.json", "issuer": "countersign/prod", "executor": "site" }
 *
 * Two task queues: on `queue` acts what needs a permit, on `queue`-asks answers what only looks.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { Pages } from './activities';
import { guard } from './guard';
import { Verifier, type PermitKey } from './permit';
import { FolderStore } from './store';

interface Settings {
  address: string;
  namespace: string;
  queue: string;
  folder: string;
  keys: string;
  issuer: string;
  executor: string;
}

async function main(file: string): Promise<void> {
  const settings = JSON.parse(readFileSync(file, 'utf8')) as Settings;
  const keys = JSON.parse(readFileSync(settings.keys, 'utf8')) as { keys: PermitKey[] };
  const permits = guard(new Verifier(keys, settings), new FolderStore(join(settings.folder, 'used-permits')));
  const pages = new Pages(settings.folder);
  Runtime.install({ logger: new DefaultLogger('WARN') });
  const connection = await NativeConnection.connect({ address: settings.address });
  const where = { connection, namespace: settings.namespace };
  const acting = await Worker.create({
    ...where,
    taskQueue: settings.queue,
    workflowsPath: require.resolve('./workflows'),
    activities: pages.acting(),
    interceptors: { activity: [permits] },
  });
  const asking = await Worker.create({ ...where, taskQueue: `${settings.queue}-asks`, activities: pages.asking() });
  console.log('the worker runs');
  await Promise.all([acting.run(), asking.run()]);
}

main(process.argv[2] ?? 'settings.json').catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
