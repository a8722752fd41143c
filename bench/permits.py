"""What a signed permit costs: to issue and sign, and to verify, by our code and by the stand-alone verifier.

- Issuing makes what `policy/issuing.py` makes, with its undo, in memory; signing adds the claims and the JWS. Verifying
  is the signature and the comparison with the stored permit, without the record: the claim itself is a commit, beside
  which all of this is small (`python -m bench throughput`).
- One permit has no approvals, the other carries three that people signed by a key, which are verified, too.
- Times are CPU times per call, in rounds in which the contestants take turns; figures are medians and quartiles.
"""

import importlib.util
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.figures import Quartiles, table
from policy.canonical import canonical, digest_of
from policy.decision import receive_decision
from policy.operations import RiskTier
from policy.people.directory import read_directory
from policy.permit import Direction, Permit, permit_id
from policy.permit_claims import Grounds, approval_of, claims_of, differing
from policy.proofs import Assurance, Domain
from signing.jws import key_proof
from signing.keys import SigningKey, generate
from signing.permits import PermitKeys, sign_permit, verify_permit
from signing.proving import Trust, prove

ROUNDS, CALLS = 11, 40
_AT = datetime(2030, 1, 1, 12, tzinfo=UTC)
_ISSUER, _EXECUTOR = "countersign/bench", "bench"
_DIGEST = "sha256:" + "0" * 64
_PEOPLE = tuple(generate(f"approver-{number}") for number in range(3))
_STATEMENT: dict[str, Any] = {
    "proposal_id": "p-1",
    "revision": 1,
    "stage": 1,
    **{f"{name}_digest": _DIGEST for name in ("action", "assessment", "policy", "presented")},
    "vote": "approve",
    "justification": "the index is small, and the undo was proved last week",
    "issued_at": "2030-01-01T11:59:00Z",
    "expires_at": "2030-01-01T13:00:00Z",
    "audience": _ISSUER,
}


def measure_permits(rounds: int = ROUNDS, calls: int = CALLS) -> str:
    """A table: permits per second, and how they compare."""
    key, p256 = generate("permit-1"), generate("permit-2", "p256")
    few, many = _grounds(), _grounds(approvals=_approvals(), risk_tier=RiskTier.high)
    kinds = {"ed25519": (few, key), "p-256": (few, p256), "ed25519, three approvals": (many, key)}
    tokens = {name: _signed(*kind) for name, kind in kinds.items()}
    believed, alone = PermitKeys.of(key, p256), _alone(key, p256)
    contestants: dict[str, Callable[[], object]] = {"issue, unsigned": _issued}
    for name, kind in kinds.items():
        contestants[f"issue and sign, {name}"] = partial(_signed, *kind)
    for name, token in tokens.items():
        contestants[f"verify, {name}"] = partial(_verified, token, believed)
        contestants[f"verify alone, {name}"] = partial(alone.verify, token, now=_AT.timestamp())
    timed = _in_turns(contestants, rounds, calls)
    base = statistics.median(timed["issue and sign, ed25519"])
    sizes = {f"issue and sign, {name}": f"{len(token)}" for name, token in tokens.items()}
    rows = [_row(name, times, base, sizes.get(name, "")) for name, times in timed.items()]
    header = ["what", "per second", "µs: median (quartiles)", "ratio to issue and sign, ed25519", "bytes"]
    return table(header, rows)


def _row(name: str, times: list[float], base: float, size: str) -> list[str]:
    median = statistics.median(times)
    return [
        name,
        f"{1 / median:,.0f}",
        Quartiles.of([1e6 * item for item in times]).text(0),
        f"{median / base:.2f}",
        size,
    ]


def _issued() -> Permit:
    resolved = ("bench/shop",)
    return Permit(
        permit_id=permit_id("p-1", 1, 1, Direction.do),
        proposal_id="p-1",
        revision=1,
        step=1,
        direction=Direction.do,
        executor=_EXECUTOR,
        operation="bench.row.insert",
        parameters={"key": "p-1", "value": "32MB"},
        environment="routine",
        resolved=resolved,
        timeout_seconds=60,
        action_digest=_DIGEST,
        assessment_digest=_DIGEST,
        policy_digest=_DIGEST,
        resolved_digest=digest_of(list(resolved)),
        assurance=Assurance.aal1,
        issued_at=_AT,
        expires_at=_AT + timedelta(minutes=5),
    )


def _grounds(**more: Any) -> Grounds:
    usual: dict[str, Any] = {"issuer": _ISSUER, "risk_tier": RiskTier.low, "verdict": "require_approval"}
    return Grounds(**{**usual, "run_id": "run-1", **more})


def _approvals() -> tuple[dict[str, Any], ...]:
    found = []
    for key in _PEOPLE:
        said = {**_STATEMENT, "decision_id": f"d-{key.id}"}
        found.append(approval_of({**said, "proof": key_proof(said, key, Domain.decision)}, _AT))
    return tuple(found)


def _signed(grounds: Grounds, key: SigningKey) -> str:
    return sign_permit(claims_of(_issued(), grounds), key)


_STORED = _issued()
_TRUST = Trust(
    read_directory(
        canonical(
            {
                "apiVersion": "countersign/v1",
                "kind": "Directory",
                "metadata": {"name": "people", "version": "1"},
                "audience": _ISSUER,
                "people": [{"id": key.id, "keys": [{"id": key.id, "jwk": key.public}]} for key in _PEOPLE],
            }
        )
    )
)


def _verified(token: str, keys: PermitKeys) -> None:
    """What an executor verifies of a permit, and of the approvals that it carries."""
    claims = verify_permit(token, keys)
    if different := differing(claims, _STORED, _ISSUER):
        raise RuntimeError(f"the permit of the benchmark has another {different}")
    for item, key in zip(claims.get("approvals", []), _PEOPLE, strict=False):
        value = {**_STATEMENT, "decision_id": f"d-{key.id}", "proof": item["proof"]}
        prove(value, receive_decision(value).proof, Domain.decision, _TRUST, _AT)


def _alone(*keys: SigningKey) -> Any:
    """The stand-alone verifier with the same keys, approvers among them."""
    module = _loaded(Path(__file__).parents[1] / "examples" / "executor" / "countersign_permit.py")
    sets = [{"keys": [{**key.public, "kid": key.id} for key in some]} for some in (keys, _PEOPLE)]
    return module.Verifier(sets[0], issuer=_ISSUER, executor=_EXECUTOR, approvers=sets[1], least_approvals=len(_PEOPLE))


def _loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _in_turns(contestants: dict[str, Callable[[], object]], rounds: int, calls: int) -> dict[str, list[float]]:
    """Seconds of CPU per call of each contestant, one figure a round."""
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, call in contestants.items():
            began = time.process_time()
            for _ in range(calls):
                call()
            found[name].append((time.process_time() - began) / calls)
    return found
