"""Verify a Countersign permit in any Python process: one file, the standard library and `joserfc`. Copy it.

    verifier = Verifier(json.load(open("permit-keys.json")), issuer="countersign/prod", executor="billing")
    permit = verifier.verify(token)
    SqliteStore("used-permits.db").claim(permit, attempt="job-17")
    act(permit.operation, permit.parameters, permit.resolved)

1. `verify` proves, offline, who issued the permit and for whom, that it has not expired, and that nobody changed it. It
   proves nothing about how often it was shown: that takes a store which keeps every permit id (`jti`) for ever, shared
   by every process that acts for this executor, or Countersign's own activity `claim`.
2. Act on what is in the permit, and on nothing that came beside it.
3. The keys are a JWK Set, as COUNTERSIGN_PERMIT_KEYS_FILE has it; with those of the approvers, too, what is high or
   critical must carry approvals that they signed.
4. What rests on an identity that was only claimed is refused, unless that is asked for: never in production.

The page `docs/spec/permit.md` of Countersign says what is signed and what each claim means.
"""

import hashlib
import json
import sqlite3
import time
import warnings
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from joserfc import jws
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, OKPKey

# Approvers may sign with this name of Ed25519, which is verified as Ed25519 only (RFC 9864).
warnings.filterwarnings("ignore", "EdDSA is deprecated", SecurityWarning)

PERMIT_TYPE = "countersign-permit+jws"
DECISION_TYPE = "countersign-decision-v1+jws"
_DECISION_DOMAIN = "countersign/decision/v1"
_ALGORITHMS = {"Ed25519": ["Ed25519", "EdDSA"], "P-256": ["ES256"]}
_WITH_APPROVALS = ("high", "critical")
_TEXTS = ("operation", "direction", "environment", "action_digest", "resolved_digest", "assurance")


class PermitError(Exception):
    """It is no permit for this, and nothing may be done; `code` is for programs."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


@dataclass(frozen=True)
class Permit:
    """A permit that verified. Act on its `resolved` ids, with its `parameters`, and on nothing else."""

    claims: Mapping[str, Any] = field(repr=False)
    id: str
    operation: str
    direction: str
    resolved: tuple[str, ...]
    environment: str
    parameters: Mapping[str, Any] = field(repr=False)
    dry_run: bool
    part: int = 0

    @property
    def key(self) -> str:
        """What can be used once: the permit, or the part of it that is for one target, by its number from 1 on."""
        return f"{self.id}.{self.part}" if self.part else self.id

    def of_run(self, run_id: str) -> "Permit":
        """What a run with an id may do. A permit counts in the run `permit/<jti>` only; where it acts on one target at
        a time, each has a run `permit/<jti>.<number>` of its own.

        Raises:
            PermitError: nothing, under this id (`wrong_id`).
        """
        if not self.claims.get("one_by_one"):
            if run_id == f"permit/{self.id}":
                return self
        else:
            for number, (resolved, targets) in enumerate(self._parts(), start=1):
                part = replace(self._only(resolved, targets), part=number)
                if run_id == f"permit/{part.key}":
                    return part
        raise PermitError("wrong_id", f"permit {self.id} counts only in a run of the id permit/{self.id}")

    def within(self, order: Any) -> "Permit":
        """What of an undo its order names: of a step that ended half-way Countersign undoes only what it touched.

        Nothing comes in by it that was not permitted, and a step is always of all that was.

        Raises:
            PermitError: it names nothing of what was permitted (`nothing_permitted`).
        """
        given = order if isinstance(order, Mapping) else {}
        resources, named = given.get("resolved"), given.get("targets")
        if self.direction != "undo" or not isinstance(resources, list) or not isinstance(named, list):
            return self
        resolved = [each for each in self.resolved if each in resources]
        ids = [(item.get("resource"), item.get("id")) for item in named if isinstance(item, Mapping)]
        targets = [each for each in self._targets if (each["resource"], each["id"]) in ids]
        if not resolved or (self._targets and not targets):
            raise PermitError("nothing_permitted", f"its order names nothing that permit {self.id} is for")
        return self._only(resolved, targets)

    def _only(self, resolved: list[str], targets: list[Any]) -> "Permit":
        kept = {**self.claims, "resolved": resolved, **({"targets": targets} if targets else {})}
        return replace(self, resolved=tuple(resolved), claims=kept)

    @property
    def _targets(self) -> list[Any]:
        return list(self.claims.get("targets", []))

    def _parts(self) -> list[tuple[list[str], list[Any]]]:
        """Of each target, its resource and itself; in their order."""
        if not self._targets:
            return [([each], []) for each in self.resolved]
        return [([target["resource"]], [target]) for target in self._targets]

    @property
    def order(self) -> dict[str, Any]:
        """What may be done, as one JSON object."""
        names = ("operation", "direction", "resolved", "environment", "parameters", "criteria", "timeout_seconds")
        found = {"targets": self.claims["targets"]} if "targets" in self.claims else {}
        return {**{name: self.claims[name] for name in names}, **found, "dry_run": self.dry_run, "permit_id": self.id}


class Store(Protocol):
    """Keeps which permits were used. It has to outlive every permit: an undo has no expiry."""

    def claim(self, permit: Permit, attempt: str) -> None:
        """Take a permit for an attempt, once and for ever; the same attempt may take it again.

        Raises:
            PermitError: another attempt took it (`reused`).
        """


class SqliteStore:
    """A store in a file, for the processes of one machine."""

    def __init__(self, path: str | Path) -> None:
        self._path = str(path)
        with closing(sqlite3.connect(self._path)) as connection, connection:
            connection.execute("CREATE TABLE IF NOT EXISTS used (jti TEXT PRIMARY KEY, attempt TEXT NOT NULL)")

    def claim(self, permit: Permit, attempt: str) -> None:
        with closing(sqlite3.connect(self._path, timeout=10)) as connection, connection:
            connection.execute("INSERT OR IGNORE INTO used VALUES (?, ?)", (permit.key, attempt))
            [found] = connection.execute("SELECT attempt FROM used WHERE jti = ?", (permit.key,)).fetchone()
        if found != attempt:
            raise PermitError("reused", f"permit {permit.key} was used by another attempt")


class Verifier:
    """Verifies permits for one executor of one installation.

    Args:
        keys: a JWK Set of the permit role's public keys.
        issuer: the `audience` of the installation's directory.
        executor: the name by which the operations registry calls this executor.
        approvers: a JWK Set of the approvers' public keys; None leaves their approvals alone.
        least_approvals: how many different keys of `approvers` must have approved what is high or critical.
        accepts_claimed: whether claimed identities are enough; never in production.
        leeway: by how many seconds clocks may differ; a permit that has expired has no leeway.
    """

    def __init__(
        self,
        keys: Mapping[str, Any],
        *,
        issuer: str,
        executor: str,
        approvers: Mapping[str, Any] | None = None,
        least_approvals: int = 1,
        accepts_claimed: bool = False,
        leeway: int = 60,
    ) -> None:
        self._keys = _read_keys(keys)
        self._approvers = None if approvers is None else _read_keys(approvers)
        self._issuer, self._executor = issuer, executor
        self._least, self._accepts_claimed, self._leeway = least_approvals, accepts_claimed, leeway

    def verify(self, token: str, *, action_digest: str | None = None, now: float | None = None) -> Permit:
        """The permit in a compact JWS.

        Args:
            token: the permit as it was handed on.
            action_digest: of the one action that it must be of; None for any.
            now: seconds since 1970; this machine's clock where nothing is given.

        Raises:
            PermitError: it is none, and why.
        """
        at = time.time() if now is None else now
        kid, payload = _verify(token, self._keys, PERMIT_TYPE)
        claims = _json(payload)
        if not isinstance(claims, dict):
            raise PermitError("malformed", "the payload is no json object")
        self._check_times(claims, self._keys[kid], at)
        audience = f"{self._issuer}/{self._executor}"
        if (claims.get("iss"), claims.get("aud")) != (self._issuer, audience):
            raise PermitError("wrong_audience", f"it is for {claims.get('aud')!r:.80}, this is {audience}")
        if action_digest is not None and claims.get("action_digest") != action_digest:
            raise PermitError("wrong_action", f"it is of action {claims.get('action_digest')!r:.80}")
        permit = _permit(claims)
        if claims["assurance"] == "claimed" and not self._accepts_claimed:
            raise PermitError("assurance_not_accepted", "it rests on an identity that was only claimed")
        if self._approvers is not None and claims.get("risk_tier") in _WITH_APPROVALS:
            self._check_approvals(claims, self._approvers)
        return permit

    def _check_times(self, claims: Mapping[str, Any], key: "_Key", at: float) -> None:
        issued, begins, ends = claims.get("iat"), claims.get("nbf"), claims.get("exp")
        if type(issued) is not int or type(begins) is not int:
            raise PermitError("malformed", "it does not say since when it holds")
        if not key.signs(issued):
            raise PermitError("unknown_key", f"its key does not sign at {issued}")
        if begins > at + self._leeway:
            raise PermitError("not_yet", f"it begins at {begins}, it is {at:.0f}")
        if ends is None and claims.get("direction") == "undo":
            return
        if type(ends) is not int or at >= ends:
            raise PermitError("expired", f"it expired at {ends!r:.40}, it is {at:.0f}")

    def _check_approvals(self, claims: Mapping[str, Any], approvers: Mapping[str, "_Key"]) -> None:
        """Every signature of a known key must hold; other kinds of proof are not looked at, and not counted. Keys with
        the same `person` are one approver's.
        """
        approved = {who for item in claims.get("approvals", []) if (who := _approver(item, claims, approvers))}
        if len(approved) < self._least:
            raise PermitError("not_approved", f"{len(approved)} known people approved it, {self._least} must have")


@dataclass(frozen=True)
class _Key:
    """A public key, whose it is, and when it counts (seconds since 1970)."""

    owner: str
    jose: OKPKey | ECKey
    algorithms: Sequence[str]
    since: float | None
    until: float | None
    revoked: bool

    def signs(self, at: float) -> bool:
        return (self.since is None or self.since <= at) and (self.until is None or at < self.until)


def _read_keys(value: Mapping[str, Any]) -> dict[str, _Key]:
    found: dict[str, _Key] = {}
    for item in value["keys"]:
        if item["kid"] in found:
            raise ValueError(f"kid {item['kid']} occurs twice")
        made_by = OKPKey if item["kty"] == "OKP" else ECKey
        public = {name: item[name] for name in ("kty", "crv", "x", "y") if name in item}
        since, until = (_seconds(item.get(name)) for name in ("since", "until"))
        revoked = item.get("revoked_at") is not None
        owner = item.get("person", item["kid"])
        found[item["kid"]] = _Key(owner, made_by.import_key(public), _ALGORITHMS[item["crv"]], since, until, revoked)
    return found


def _seconds(instant: str | None) -> float | None:
    return None if instant is None else datetime.fromisoformat(instant.upper()).timestamp()


def _verify(token: str, keys: Mapping[str, _Key], media_type: str) -> tuple[str, bytes]:
    """Which key signed a compact JWS, and its payload. The header chooses neither the key's kind nor anything else."""
    if token.count(".") != 2:  # noqa: PLR2004 - header, payload, signature
        raise PermitError("malformed", "it is no compact jws")
    parts = [_decoded(part) for part in token.split(".")]
    header = _json(parts[0])
    if not isinstance(header, dict) or set(header) != {"alg", "kid", "typ"} or header["typ"] != media_type:
        raise PermitError("malformed", f"its header must have alg, kid and typ {media_type}, and nothing else")
    key = keys.get(header["kid"]) if isinstance(header["kid"], str) else None
    if key is None or key.revoked or header["alg"] not in key.algorithms:
        raise PermitError("unknown_key", f"key {header['kid']!r:.80} is not believed, or does not sign like this")
    try:
        jws.deserialize_compact(token, key.jose, algorithms=list(key.algorithms))
    except (JoseError, ValueError):
        raise PermitError("bad_signature", f"key {header['kid']!r:.80} did not sign it") from None
    return header["kid"], parts[1]


def _permit(claims: Mapping[str, Any]) -> Permit:
    resolved, parameters = claims.get("resolved"), claims.get("parameters")
    texts = [claims.get(name) for name in (*_TEXTS, "jti")]
    if not isinstance(resolved, list) or not isinstance(parameters, dict) or not all(map(_is_text, texts)):
        raise PermitError("malformed", "it lacks a claim that every permit has")
    # A list of texts is written like this by RFC 8785.
    written = json.dumps(resolved, ensure_ascii=False, separators=(",", ":")).encode()
    if not resolved or claims["resolved_digest"] != "sha256:" + hashlib.sha256(written).hexdigest():
        raise PermitError("malformed", "resolved_digest is not that of its resolved ids")
    return Permit(
        claims=claims,
        id=claims["jti"],
        operation=claims["operation"],
        direction=claims["direction"],
        resolved=tuple(resolved),
        environment=claims["environment"],
        parameters=parameters,
        dry_run=claims.get("dry_run") is not False,
    )


def _approver(item: Any, claims: Mapping[str, Any], approvers: Mapping[str, _Key]) -> str | None:
    """Who approves this action by a statement; None where it is proved in another way than by a key."""
    try:
        signed, proof = item["signed"], item["proof"]
        if proof["kind"] != "key":
            return None
        header, _, signature = proof["jws"].split(".")
        kid, payload = _verify(f"{header}.{signed}.{signature}", approvers, DECISION_TYPE)
        said = _json(payload)
        about = [said[name] for name in ("countersign", "vote", "audience", "proposal_id", "action_digest")]
        issued = _seconds(said["issued_at"])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise PermitError("not_approved", "an approval of it is malformed") from None
    wanted = [_DECISION_DOMAIN, "approve", claims["iss"], claims["proposal_id"], claims["action_digest"]]
    if about != wanted:
        raise PermitError("not_approved", f"what {kid} signed is no approval of this action")
    if issued is None or not approvers[kid].signs(issued):
        raise PermitError("not_approved", f"key {kid} does not sign at {said['issued_at']!r:.40}: it is not its time")
    return approvers[kid].owner


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _decoded(part: str) -> bytes:
    try:
        value = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise PermitError("malformed", "a part of it is no base64url") from None
    if urlsafe_b64encode(value).rstrip(b"=").decode() != part:
        raise PermitError("malformed", "a part of it is no base64url in its only form")
    return value


def _json(body: bytes) -> Any:
    """The value of a JSON text without a key twice."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) != len(pairs):
            raise PermitError("malformed", "a key of it occurs twice")
        return dict(pairs)

    try:
        return json.loads(body.decode(), object_pairs_hook=unique)
    except (ValueError, RecursionError):
        raise PermitError("malformed", "it is no json") from None
