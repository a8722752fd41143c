"""What a signature costs: to make, to verify by kind of proof, and in the answer to a decision.

- Proving is timed alone, in one process, over the same statement; the form of RFC 8785 that all kinds need is a row of
  its own. Wall time, because OpenSSH is another process. Calls of all kinds go in turns, in rounds; figures are medians
  and quartiles over the rounds.
- What is refused is the same proof with another statement: thousands of such may arrive.
- The tokens are made here as their issuer would; its keys are known. Fetching them is not measured: it happens once.
- A signed decision goes through the whole workflow as in `bench/decide.py`, beside the same one under a mere name and
  beside bare updates.
"""

import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from bench.decide import Contestants, answers, bare, in_turns, ours
from bench.documents import AUDIENCE, FIRST_KEYS
from bench.figures import Quartiles, table
from bench.stack import Bench
from policy.decision import receive_decision
from policy.people.directory import Directory, read_directory
from policy.proofs import Domain, nonce_of, signed_bytes
from signing.jws import key_proof
from signing.keys import SigningKey
from signing.proving import Trust, UnprovenError, prove

ROUNDS, CALLS, SLOW_CALLS, SAMPLES = 15, 40, 4, 40
_AT = datetime(2030, 1, 1, 12, tzinfo=UTC)
_ISSUER, _CLIENT = "https://login.example", "countersign-cli"
_BARE, _BARE_KEPT, _CLAIMED = "bare update, keeps nothing", "bare update, commits one row", "decide, claimed"
_ED25519, _P256 = FIRST_KEYS
_DIGEST = "sha256:" + "0" * 64
_STATEMENT = {
    "decision_id": "d-1",
    "proposal_id": "p-1",
    "revision": 1,
    "stage": 1,
    **{f"{name}_digest": _DIGEST for name in ("action", "assessment", "policy", "presented")},
    "vote": "approve",
    "justification": "the index is small, and the undo was proved last week",
    "issued_at": "2030-01-01T11:59:00Z",
    "expires_at": "2030-01-01T13:00:00Z",
    "audience": AUDIENCE,
}


async def measure_signing(bench: Bench, samples: int = SAMPLES) -> str:
    """Both tables."""
    return f"{measure_proving()}\n\n{await measure_answers(bench, samples)}"


def measure_proving(rounds: int = ROUNDS) -> str:
    """A table: microseconds to make and to verify each kind of proof."""
    with ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory()))
        made = _makers(folder)
        proofs = {name: make() for name, make in made.items()}
        trust = _trust((folder / "key.pub").read_text().strip())
        proving = {name: _proves({**_STATEMENT, "proof": proof}, trust) for name, proof in proofs.items()}
        forms = {"the canonical form alone": lambda: signed_bytes(Domain.decision, _STATEMENT)}
        refusing = {name: _refuses(proof, trust) for name, proof in proofs.items() if name != _NAME}
        making = {name: make for name, make in made.items() if name in _SIGNED_HERE}
        proved, refused, signed = (_rounds(calls, rounds) for calls in ({**forms, **proving}, refusing, making))
    least = Quartiles.of(proved[_BY_ED25519]).median
    rows = [
        [
            name,
            Quartiles.of(sample).text(0),
            f"{Quartiles.of(sample).median / least:.2f}",
            *(_cell(other.get(name)) for other in (refused, signed)),
        ]
        for name, sample in proved.items()
    ]
    header = ["proof", "verify, µs: median (quartiles)", "ratio to key, ed25519", "refuse a forged one, µs", "sign, µs"]
    return table(header, rows)


async def measure_answers(bench: Bench, samples: int = SAMPLES) -> str:
    """A table: the answer to a signed decision beside that to an unsigned one and to bare updates."""
    contestants: Contestants = {
        _BARE: lambda: bare(bench, "answer"),
        _BARE_KEPT: lambda: bare(bench, "answer_kept"),
        _CLAIMED: lambda: ours(bench),
        "decide, key, ed25519": lambda: ours(bench, lambda value: _by_key(value, _ED25519)),
        "decide, key, p-256": lambda: ours(bench, lambda value: _by_key(value, _P256)),
    }
    return answers(await in_turns(contestants, samples), _BARE, _CLAIMED)


_NAME, _BY_ED25519, _BY_P256, _BY_SSH = "claimed", "key, ed25519", "key, p-256", "ssh, ed25519"
_SIGNED_HERE = (_BY_ED25519, _BY_P256, _BY_SSH)


def _makers(folder: Path) -> Mapping[str, Callable[[], dict[str, Any]]]:
    """What makes a proof of each kind."""
    path = folder / "key"
    subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)), check=True)
    return {
        _NAME: lambda: {"kind": "claimed", "identity": "ann"},
        _BY_ED25519: lambda: _by_key(_STATEMENT, _ED25519)["proof"],
        _BY_P256: lambda: _by_key(_STATEMENT, _P256)["proof"],
        _BY_SSH: lambda: _by_ssh(path),
        "oidc, rs256": lambda: _by_token(_RSA, "RS256"),
        "oidc, es256": lambda: _by_token(_EC, "ES256"),
    }


def _by_key(value: Mapping[str, Any], key: SigningKey) -> dict[str, Any]:
    said = {**value, "audience": AUDIENCE}
    return {**said, "proof": key_proof(said, key, Domain.decision)}


def _by_ssh(path: Path) -> dict[str, Any]:
    signed = signed_bytes(Domain.decision, _STATEMENT)
    command = ("ssh-keygen", "-Y", "sign", "-q", "-f", str(path), "-n", Domain.decision.ssh_namespace)
    answer = subprocess.run(command, input=signed, check=True, capture_output=True)
    return {"kind": "ssh", "signature": answer.stdout.decode()}


_RSA, _EC = RSAKey.generate_key(2048), ECKey.generate_key("P-256")


def _by_token(key: RSAKey | ECKey, algorithm: str) -> dict[str, Any]:
    at = int(_AT.timestamp())
    claims = {
        "iss": _ISSUER,
        "sub": "ann",
        "aud": _CLIENT,
        "nonce": nonce_of(signed_bytes(Domain.decision, _STATEMENT)),
        "iat": at - 10,
        "exp": at + 300,
        "auth_time": at - 30,
        "amr": ["pwd", "otp"],
    }
    header = {"alg": algorithm, "kid": algorithm, "typ": "JWT"}
    return {"kind": "oidc", "id_token": jws.serialize_compact(header, json.dumps(claims), key, algorithms=[algorithm])}


def _trust(ssh: str) -> Trust:
    published = [{**key.as_dict(private=False), "kid": name} for name, key in (("RS256", _RSA), ("ES256", _EC))]
    return Trust(_directory(ssh), {_ISSUER: published}, accepts_claimed=True)


def _directory(ssh: str) -> Directory:
    keys = [{"id": "ann-ssh", "ssh": ssh}, *({"id": key.id, "jwk": key.public} for key in FIRST_KEYS)]
    value = {
        "apiVersion": "countersign/v1",
        "kind": "Directory",
        "metadata": {"name": "people", "version": "1"},
        "audience": AUDIENCE,
        "issuers": [{"issuer": _ISSUER, "client_ids": [_CLIENT]}],
        "people": [{"id": "ann", "keys": keys}],
    }
    return read_directory(json.dumps(value).encode())


def _proves(value: dict[str, Any], trust: Trust) -> Callable[[], object]:
    submission = receive_decision(value)
    return lambda: prove(value, submission.proof, Domain.decision, trust, _AT)


def _refuses(proof: dict[str, Any], trust: Trust) -> Callable[[], object]:
    """The same proof under a denial."""
    forged = {**_STATEMENT, "vote": "deny", "proof": proof}
    submission = receive_decision(forged)

    def call() -> None:
        try:
            prove(forged, submission.proof, Domain.decision, trust, _AT)
        except UnprovenError:
            return
        raise AssertionError("a forged proof was taken: the measurement says nothing")

    return call


def _rounds(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Microseconds per call of each, the median of a round, in turns."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            times = []
            for _ in range(SLOW_CALLS if name == _BY_SSH else CALLS):
                began = time.perf_counter()
                call()
                times.append(1e6 * (time.perf_counter() - began))
            found[name].append(statistics.median(times))
    return found


def _cell(sample: list[float] | None) -> str:
    return Quartiles.of(sample).text(0) if sample else ""
