/**
 * Verify a Countersign permit in any Node process: one file, nothing but Node. Copy it.
 *
 *     const verifier = new Verifier(keys, { issuer: 'countersign/prod', executor: 'site' });
 *     const permit = verifier.verify(token);
 *
 * 1. `verify` proves, offline, who issued the permit and for whom, that it has not expired, and that nobody changed it.
 *    It proves nothing about how often it was shown: see `store.ts`.
 * 2. Act on what is in the permit, and on nothing that came beside it.
 * 3. The keys are a JWK Set of the permit role's public keys. What a permit's header says chooses no key and no
 *    algorithm.
 * 4. What rests on an identity that was only claimed is refused.
 *
 * It does not look at the approvers' own statements (`approvals`); `examples/executor/countersign_permit.py` does.
 * What is signed, and what each claim means: `docs/spec/permit.md`.
 */
import { createHash, createPublicKey, verify as verifySignature, type KeyObject } from 'node:crypto';

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
export type JsonObject = { [name: string]: Json };

/** It is no permit for this, and nothing may be done; `code` is for programs. */
export class PermitError extends Error {
  constructor(readonly code: string, message: string) {
    super(`${code}: ${message}`);
    this.name = 'PermitError';
  }
}

/** A permit that verified. */
export interface Permit {
  readonly id: string;
  readonly operation: string;
  readonly direction: 'do' | 'undo';
  readonly resolved: readonly string[];
  readonly parameters: JsonObject;
  readonly dryRun: boolean;
  readonly targets: readonly JsonObject[];
  readonly claims: JsonObject;
  /** What can be used once: the permit, or the part of it that is for one target. */
  readonly key: string;
}

/** A public key as COUNTERSIGN_PERMIT_KEYS_FILE has it. */
export interface PermitKey {
  kid: string;
  kty: string;
  crv: string;
  x: string;
  y?: string;
  since?: string;
  until?: string;
  revoked_at?: string;
}

const TYPE = 'countersign-permit+jws';
const ALGORITHMS: Readonly<Record<string, string>> = { Ed25519: 'Ed25519', 'P-256': 'ES256' };
const LEEWAY_SECONDS = 60;

interface Known {
  readonly key: KeyObject;
  readonly algorithm: string;
  readonly since: number;
  readonly until: number;
}

export class Verifier {
  private readonly keys = new Map<string, Known>();
  private readonly audience: string;

  constructor(given: { keys: PermitKey[] }, private readonly who: { issuer: string; executor: string }) {
    this.audience = `${who.issuer}/${who.executor}`;
    for (const item of given.keys) {
      if (this.keys.has(item.kid)) throw new Error(`kid ${item.kid} occurs twice`);
      const algorithm = ALGORITHMS[item.crv];
      if (algorithm === undefined) throw new Error(`kid ${item.kid} has the curve ${item.crv}: use Ed25519 or P-256`);
      if (item.revoked_at !== undefined) continue;
      const jwk = { kty: item.kty, crv: item.crv, x: item.x, ...(item.y === undefined ? {} : { y: item.y }) };
      this.keys.set(item.kid, {
        key: createPublicKey({ key: jwk, format: 'jwk' }),
        algorithm,
        since: item.since === undefined ? -Infinity : seconds(item.since),
        until: item.until === undefined ? Infinity : seconds(item.until),
      });
    }
  }

  /** The permit in a compact JWS, at an instant in seconds since 1970. Throws PermitError. */
  verify(token: string, now: number = Date.now() / 1000): Permit {
    const { payload, key } = this.signed(token);
    const claims = object(payload);
    this.checkTimes(claims, key, now);
    if (claims.iss !== this.who.issuer || claims.aud !== this.audience) {
      throw new PermitError('wrong_audience', `it is for ${shown(claims.aud)}, this is ${this.audience}`);
    }
    const permit = read(claims);
    if (claims.assurance === 'claimed') {
      throw new PermitError('assurance_not_accepted', 'it rests on an identity that was only claimed');
    }
    return permit;
  }

  private signed(token: string): { payload: Buffer; key: Known } {
    const parts = token.split('.');
    if (parts.length !== 3) throw new PermitError('malformed', 'it is no compact jws');
    const [head, payload, signature] = parts.map(decoded) as [Buffer, Buffer, Buffer];
    const header = anyObject(head);
    if (Object.keys(header).sort().join() !== 'alg,kid,typ' || header.typ !== TYPE) {
      throw new PermitError('malformed', `its header must have alg, kid and typ ${TYPE}, and nothing else`);
    }
    const key = typeof header.kid === 'string' ? this.keys.get(header.kid) : undefined;
    if (key === undefined || header.alg !== key.algorithm) {
      throw new PermitError('unknown_key', `key ${shown(header.kid)} is not believed, or does not sign like this`);
    }
    const text = Buffer.from(token.slice(0, token.lastIndexOf('.')), 'ascii');
    const holds =
      key.algorithm === 'Ed25519'
        ? verifySignature(null, text, key.key, signature)
        : verifySignature('sha256', text, { key: key.key, dsaEncoding: 'ieee-p1363' }, signature);
    if (!holds) throw new PermitError('bad_signature', `key ${shown(header.kid)} did not sign it`);
    return { payload, key };
  }

  private checkTimes(claims: JsonObject, key: Known, now: number): void {
    const { iat, nbf, exp, direction } = claims;
    if (!Number.isInteger(iat) || !Number.isInteger(nbf)) {
      throw new PermitError('malformed', 'it does not say since when it holds');
    }
    const issued = iat as number;
    if (issued < key.since || issued >= key.until) {
      throw new PermitError('unknown_key', `its key does not sign at ${issued}`);
    }
    if ((nbf as number) > now + LEEWAY_SECONDS) throw new PermitError('not_yet', `it begins at ${nbf}`);
    if (exp === undefined && direction === 'undo') return;
    if (!Number.isInteger(exp) || now >= (exp as number)) {
      throw new PermitError('expired', `it expired at ${shown(exp)}, it is ${Math.floor(now)}`);
    }
  }
}

function read(claims: JsonObject): Permit {
  const { jti, operation, direction, resolved, parameters } = claims;
  const texts = [jti, operation, claims.environment, claims.action_digest, claims.resolved_digest, claims.assurance];
  if (!texts.every((text) => typeof text === 'string' && text !== '')) {
    throw new PermitError('malformed', 'it lacks a claim that every permit has');
  }
  if (direction !== 'do' && direction !== 'undo') throw new PermitError('malformed', 'it has no direction');
  if (!Array.isArray(resolved) || resolved.length === 0 || !resolved.every((id) => typeof id === 'string')) {
    throw new PermitError('malformed', 'it names nothing to act on');
  }
  if (typeof parameters !== 'object' || parameters === null || Array.isArray(parameters)) {
    throw new PermitError('malformed', 'it has no parameters');
  }
  const digest = createHash('sha256').update(canonical(resolved)).digest('hex');
  if (claims.resolved_digest !== `sha256:${digest}`) {
    throw new PermitError('malformed', 'resolved_digest is not that of its resolved ids');
  }
  return {
    id: jti as string,
    operation: operation as string,
    direction,
    resolved: resolved as string[],
    parameters,
    dryRun: claims.dry_run !== false,
    targets: Array.isArray(claims.targets) ? (claims.targets as JsonObject[]) : [],
    claims,
    key: jti as string,
  };
}

/**
 * What a run with an id may do: a permit counts in the run `permit/<jti>` only; where it acts on one target at a time,
 * each has a run `permit/<jti>.<number>` of its own. Throws PermitError.
 */
export function ofRun(permit: Permit, runId: string): Permit {
  for (const part of permit.claims.one_by_one === true ? parts(permit) : [permit]) {
    if (runId === `permit/${part.key}`) return part;
  }
  throw new PermitError('wrong_id', `permit ${permit.id} counts only in a run of the id permit/${permit.id}`);
}

function parts(permit: Permit): Permit[] {
  const { id, targets } = permit;
  if (targets.length === 0) {
    return permit.resolved.map((each, at) => ({ ...permit, key: `${id}.${at + 1}`, resolved: [each] }));
  }
  return targets.map((target, at) => ({
    ...permit,
    key: `${id}.${at + 1}`,
    resolved: [String(target.resource)],
    targets: [target],
  }));
}

/**
 * What of an undo its order names: of a step that ended half-way Countersign undoes only what it touched. Nothing comes in
 * by it that was not permitted, and a step is always of all that was. Throws PermitError.
 */
export function within(permit: Permit, order: { resolved?: unknown; targets?: unknown } | undefined): Permit {
  const { resolved: ids, targets: named } = order ?? {};
  if (permit.direction !== 'undo' || !Array.isArray(ids) || !Array.isArray(named)) return permit;
  const resolved = permit.resolved.filter((each) => ids.includes(each));
  const targets = permit.targets.filter((each) =>
    named.some((one: JsonObject | null) => one?.resource === each.resource && one?.id === each.id),
  );
  if (resolved.length === 0 || (permit.targets.length > 0 && targets.length === 0)) {
    throw new PermitError('nothing_permitted', `its order names nothing that permit ${permit.id} is for`);
  }
  return { ...permit, resolved, targets };
}

/** The RFC 8785 form of a JSON value: JSON.stringify writes numbers and texts like that, only members are to be sorted. */
export function canonical(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.keys(value).sort();
  return `{${members.map((name) => `${JSON.stringify(name)}:${canonical(value[name] as Json)}`).join()}}`;
}

/** A payload is in canonical form: a member that occurs twice, for one, would not be there when it is written again. */
function object(bytes: Buffer): JsonObject {
  const value = anyObject(bytes);
  if (canonical(value) !== bytes.toString('utf8')) throw new PermitError('malformed', 'it is not in canonical form');
  return value;
}

function anyObject(bytes: Buffer): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw new PermitError('malformed', 'it is no json');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new PermitError('malformed', 'it is no json object');
  }
  return value as JsonObject;
}

/** base64url in its only form: what is decoded must be written like that again. */
function decoded(part: string): Buffer {
  const value = Buffer.from(part, 'base64url');
  if (value.toString('base64url') !== part) throw new PermitError('malformed', 'a part of it is no base64url');
  return value;
}

function seconds(instant: string): number {
  const value = Date.parse(instant) / 1000;
  if (Number.isNaN(value)) throw new Error(`${instant} is no instant`);
  return value;
}

function shown(value: unknown): string {
  return String(JSON.stringify(value)).slice(0, 80);
}
