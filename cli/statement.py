"""One statement on its way to be signed: what it says, who signs it and by what, and how it is sent.

- It is prepared before anybody confirms: by then it is known who signs, with which proof, and that it can count as far
  as this is known here.
- A receipt that wants more is answered at the terminal by another login, made for a new decision with an id of its own:
  an id stands for one content. It is asked once; whoever is not there is told what is needed.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from cli import exits, render
from cli.case import Case
from cli.confirming import at_the_terminal, confirms
from cli.place import Place
from cli.sending import Answer, send
from cli.signers import Claim, LoginSigner, Signer, remedies
from cli.signing import Signing, refuse_claim, refuse_doubts
from policy.base import instant_text
from policy.decision import DecisionReceipt, Wanted, receive_decision
from policy.rules.stepping_up import said_of


@dataclass(frozen=True)
class Statement:
    """A decision without its proof, and how it gets one.

    Attributes:
        value: as it is signed.
        signing: how its author can sign.
        way: how it is signed.
        wanted: what its proof must show.
    """

    value: dict[str, Any]
    signing: Signing
    way: Signer
    wanted: Wanted | None

    @property
    def claimed(self) -> bool:
        """Whether it is signed by nobody."""
        return isinstance(self.way, Claim)

    @property
    def who(self) -> str:
        """Who signs it, as far as that is known before."""
        return self.signing.sender if self.claimed else self.signing.stands_for(self.way)

    @property
    def lines(self) -> list[str]:
        """What is signed, and by whom, for whoever confirms it."""
        return render.statement(self.value, self.signing.stands_for(self.way), self.wanted, claimed=self.claimed)

    async def signed(self) -> dict[str, Any]:
        """The JSON that is sent.

        Raises:
            SigningError: nothing was signed.
        """
        return await self.signing.sign(self.value, self.way, self.wanted)

    def anew(self, way: Signer, wanted: Wanted) -> "Statement":
        """The same said again, as another decision."""
        now = instant_text(datetime.now(UTC).replace(microsecond=0))
        value = {**self.value, "decision_id": str(uuid4()), "issued_at": now}
        return replace(self, value=self.signing.addressed(value, way), way=way, wanted=wanted)


def check(value: Mapping[str, Any]) -> None:
    """Refuse what is no decision, before anybody is asked to sign it.

    Raises:
        DecisionError: names the field, the value and what was expected.
    """
    receive_decision({**value, "proof": Claim("nobody").proof})


def prepare(case: Case, signing: Signing, value: Mapping[str, Any], wanted: Wanted | None) -> Statement:
    """A decision on an action, ready to be shown and signed.

    Raises:
        SigningError: nobody can sign it here, or it would not count.
    """
    way = signing.choose(wanted)
    refuse_claim(way, case.checked())
    refuse_doubts(case, way)
    return Statement(signing.addressed(value, way), signing, way, wanted)


async def cast(place: Place, statement: Statement, *, patience: timedelta, as_json: bool) -> int:
    """Sign a decision, send it, and say what it was answered; the exit code.

    Args:
        place: where.
        statement: the decision.
        patience: how long to wait for a receipt that an update did not bring.
        as_json: whether to print JSON.
    """
    answer = await _sent(place, statement, patience)
    receipt = answer.receipt
    if receipt is not None and receipt.wanted is not None and not as_json:
        again = _again(statement, receipt)
        if again is not None:
            answer, statement = await _sent(place, again, patience), again
    return _report(answer, statement, as_json=as_json)


async def _sent(place: Place, statement: Statement, patience: timedelta) -> Answer:
    return await send(place, statement.signing.sender, await statement.signed(), patience=patience)


def _again(statement: Statement, receipt: DecisionReceipt) -> Statement | None:
    """The decision for which its author signs in anew; None where nobody can or wants to."""
    assert receipt.wanted is not None
    logins = [way for way in statement.signing.ways if isinstance(way, LoginSigner)]
    if not logins or not at_the_terminal():
        return None
    print(render.receipt(receipt.model_dump(mode="json")))
    print(f"it did not count. This vote needs {said_of(receipt.wanted)}: sign in again for a new decision.")
    if not confirms(f"sign in at {logins[0].issuer} now?", "yes"):
        return None
    fresh = receipt.wanted.model_copy(update={"max_age_seconds": 0})
    return statement.anew(logins[0], fresh)


def _report(answer: Answer, statement: Statement, *, as_json: bool) -> int:
    receipt, decision_id = answer.receipt, statement.value["decision_id"]
    if as_json:
        shown = receipt.model_dump(mode="json") if receipt else None
        print(
            json.dumps({"decision_id": decision_id, "receipt": shown, "way": answer.way, "note": answer.note}, indent=2)
        )
    elif receipt is None:
        print(f"unknown: {answer.note}")
        print(
            f"decision {decision_id} counts once if it arrives; look with `countersign show`, deciding anew replaces it"
        )
    else:
        print(render.receipt(receipt.model_dump(mode="json")))
        if receipt.wanted is not None and statement.signing.directory is not None:
            print(remedies(receipt.wanted, statement.signing.directory), file=sys.stderr)
    return code_of(receipt)


def code_of(receipt: DecisionReceipt | None) -> int:
    """The exit code of an answer."""
    if receipt is None:
        return exits.UNKNOWN
    return exits.OK if receipt.counted else exits.REFUSED
