/**
 * Which permits were used: one file each in a folder, made in one step that only one process can do first.
 *
 * It has to outlive every permit, and an undo has no expiry: keep the folder with the data of what is acted on. Several
 * machines need a store that they share (a table with a unique column).
 */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, linkSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { createHash, randomUUID } from 'node:crypto';
import { PermitError, type Permit } from './permit';

export class FolderStore {
  constructor(private readonly folder: string) {
    mkdirSync(folder, { recursive: true });
  }

  /** Take a permit for an attempt, once and for ever; the same attempt may take it again. Throws PermitError. */
  claim(permit: Permit, attempt: string): void {
    const file = join(this.folder, createHash('sha256').update(permit.key).digest('hex'));
    const written = join(this.folder, `.${randomUUID()}`);
    const descriptor = openSync(written, 'wx', 0o600);
    try {
      writeSync(descriptor, attempt);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    try {
      // A link is there as a whole or not at all, and never replaces another.
      linkSync(written, file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    } finally {
      rmSync(written);
    }
    if (readFileSync(file, 'utf8') !== attempt) {
      throw new PermitError('reused', `permit ${permit.key} was used by another attempt`);
    }
  }
}
