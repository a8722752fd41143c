"""Which agent's platform made a statement, by the token of the workload that it runs as.

1. The directory names one agent for an account (`workload`: issuer and subject), and believes the issuer.
2. A bare workload token says nothing of any statement: whoever reads it, in a history or a log, could send it along
   with another. So its issuer has to bind it to the statement: its `aud` is `bound_audience`, which a workload asks for
   (the TokenRequest of Kubernetes, GitHub Actions, SPIFFE and the metadata servers of clouds let it choose), or its
   `aud` is the audience of the directory and its `nonce` the hash of the statement. A token that is bound to nothing is
   refused, however young it is.
3. Nobody authenticated: it shows AAL1, and no instant.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from policy.people.directory import Directory
from policy.proofs import Assurance, Principal
from signing.jws import BadSignatureError
from signing.tokens import unverified, verify_token

_BINDS = "#"


def bound_audience(audience: str, nonce: str) -> str:
    """The audience of a workload's token about a statement.

    Args:
        audience: of the directory.
        nonce: the hash of the statement (`policy.proofs.nonce_of`).
    """
    return f"{audience}{_BINDS}{nonce}"


def names_workload(token: str, directory: Directory) -> bool:
    """Whether a token says to be of an account that the directory gives to an agent; nothing of it is verified.

    Raises:
        BadSignatureError: it is no token.
    """
    _, claims = unverified(token)
    return directory.agent_of_workload(str(claims.get("iss")), str(claims.get("sub"))) is not None


def prove_workload(
    token: str,
    nonce: str,
    directory: Directory,
    issuer_keys: Mapping[str, Sequence[dict[str, Any]]],
    at: datetime,
) -> Principal:
    """The agent whose workload made a statement; `identity` is the agent's id.

    Args:
        token: as its issuer gave it.
        nonce: the hash of the statement.
        directory: whose account it is.
        issuer_keys: the published keys of each issuer, as JWKs.
        at: when the statement was first seen (UTC).

    Raises:
        UnknownKidError: none of these keys is the one that the token names.
        BadSignatureError: it does not show it.
    """
    _, claims = unverified(token)
    agent = directory.agent_of_workload(str(claims.get("iss")), str(claims.get("sub")))
    issuer = directory.issuer(agent.workload.issuer) if agent is not None and agent.workload is not None else None
    if agent is None or issuer is None or directory.audience is None:
        raise BadSignatureError(f"account {claims.get('sub')!r:.100} of {claims.get('iss')!r:.100} is no agent's here")
    bound = bound_audience(directory.audience, nonce)
    by_nonce = claims.get("nonce") == nonce
    found = verify_token(
        token,
        issuer_keys.get(issuer.issuer, ()),
        issuer=issuer.issuer,
        audience=(directory.audience, bound) if by_nonce else (bound,),
        nonce=None,
        at=at,
    )
    kid = found.key.get("kid")
    return Principal(
        identity=agent.id,
        kind="oidc",
        assurance=Assurance.aal1,
        key_id=kid if isinstance(kid, str) else None,
        issuer=issuer.issuer,
        subject=str(found.claims["sub"]),
        key=found.key,
    )
