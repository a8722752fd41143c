"""Decisions by identity tokens of a real provider, with the three roles apart: from signing in to the effect.

A new set of workers has asked no provider yet; where a test needs the half minute between two questions to pass, it
starts one.
"""

import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
import yaml

from activities.auditing import audit
from activities.database import Database
from activities.export import export_action
from activities.settings import Role
from deploy.dev import Stack
from policy.decision import DecisionReceipt
from policy.proofs import Domain, nonce_of, signed_bytes
from tests.permit_keys import settings
from tests.provider import CLIENT, OTHER_CLIENT, Browser, IdentityProvider, identity_provider, rsa, signed_in
from tests.world import DOCUMENTS, Handle, World, decision, publish_documents, until, whole_world
from worker import running_workers, workflow_runner
from workflows.interface import KEYS_WORKFLOW, TASK_QUEUE

pytestmark = pytest.mark.asyncio(loop_scope="module")

AUDIENCE = "countersign/tests"
ONE, TWO = rsa("one"), rsa("two")
ROLES = (Role.control, Role.permit, Role.executor)
STEP_UP = {"assurance": "aal2", "max_age": "5m"}


@dataclass
class House:
    """A world whose people sign in, and its workers."""

    world: World
    stack: Stack
    provider: IdentityProvider

    @contextlib.asynccontextmanager
    async def workers(self, *, control_believes_names: bool = False) -> AsyncIterator[None]:
        """New workers of the three roles, each as its own database role, inside the block."""
        name = urlsplit(self.world.url).path.removeprefix("/")
        async with contextlib.AsyncExitStack() as stack:
            for role in ROLES:
                database = Database(self.stack.database_url(f"countersign_{role}", name))
                stack.push_async_callback(database.close)
                claimed = control_believes_names and role is Role.control
                given = settings(role=role, unsafe_claimed_identities=claimed)
                running = running_workers(
                    self.world.client,
                    database,
                    given,
                    executors={"bench": self.world.bench},
                    anchor=self.world.anchor,
                )
                await stack.enter_async_context(running)
            yield

    async def ask(self, operation: str) -> tuple[Handle, dict[str, Any]]:
        """An action that waits for its first stage, and its status."""
        undo = {"bench.put": "bench.take", "bench.sign": "bench.unset"}[operation]
        handle = await self.world.start(self.world.propose(operation, undo=undo))
        return handle, await self.world.pending(handle)

    async def sign(
        self,
        status: dict[str, Any],
        browser: Browser,
        *,
        client: str = CLIENT,
        provider: IdentityProvider | None = None,
        about: dict[str, Any] | None = None,
        **asked: Any,
    ) -> dict[str, Any]:
        """A decision with the token that somebody got for it, or `about` another statement."""
        value = decision(status, "nobody", audience=AUDIENCE)
        del value["proof"]
        nonce = nonce_of(signed_bytes(Domain.decision, {**value, **(about or {})}))
        token = await signed_in(provider or self.provider, browser, nonce, client=client, **asked)
        return {**value, "proof": {"kind": "oidc", "id_token": token}}

    async def decide(self, handle: Handle, person: str, stage: int = 1) -> DecisionReceipt:
        """Somebody signs in and approves."""
        status = await self.world.pending(handle, stage)
        return await self.world.send(handle, await self.sign(status, Browser(person), max_age=0))

    async def stored(self) -> list[str]:
        """The ids of the keys on record."""
        rows = await self.world.sql(
            "SELECT kid FROM countersign.issuer_key WHERE issuer = $1 ORDER BY 1", self.provider.issuer
        )
        return [row["kid"] for row in rows]

    async def refresh(self) -> int:
        """What the schedule starts."""
        workflow = f"keys-{self.world.id()}"
        found: int = await self.world.client.execute_workflow(
            KEYS_WORKFLOW, id=workflow, task_queue=TASK_QUEUE, result_type=int
        )
        return found

    async def audited(self, handle: Handle) -> list[str]:
        """What an audit finds."""
        file = await export_action(self.world.client, self.world.database, handle.id, at=datetime.now(UTC))
        return [str(item) for item in (await audit(file.body(), workflow_runner())).findings]


def _documents(provider: IdentityProvider) -> list[bytes]:
    """The directory of the tests with an issuer, and a policy that asks for more where `bench.sign` is approved."""
    directory = yaml.safe_load((DOCUMENTS / "directory.yaml").read_text())
    directory["audience"] = AUDIENCE
    directory["issuers"] = [
        {"issuer": provider.issuer, "client_ids": [CLIENT], "prefix": "sso:", "acr": {"phr": "aal3"}}
    ]
    for person in directory["people"]:
        person.setdefault("aliases", []).append(f"sso:{person['id']}")
    policy = yaml.safe_load((DOCUMENTS / "policy.yaml").read_text())
    policy["chains"]["single"]["stages"][0]["proofs"] = [STEP_UP]
    return [yaml.safe_dump(item).encode() for item in (directory, policy)]


@pytest.fixture(name="provider", scope="module")
def _provider() -> Iterator[IdentityProvider]:
    with identity_provider(ONE) as provider:
        yield provider


@pytest_asyncio.fixture(name="house", scope="module", loop_scope="module")
async def _house(stack: Stack, provider: IdentityProvider) -> AsyncIterator[House]:
    async with whole_world(stack) as world:
        await world.stop_workers()
        await publish_documents(world.url, *_documents(provider))
        yield House(world, stack, provider)


@pytest.fixture(autouse=True)
def _again(provider: IdentityProvider) -> Iterator[None]:
    yield
    provider.publish(ONE)


async def test_a_decision_by_token_counts_and_carries_the_action(house: House) -> None:
    """Who signed in approves exactly this; the entry keeps what the provider said and the key that says so."""
    async with house.workers():
        handle, status = await house.ask("bench.sign")
        receipt = await house.world.send(handle, await house.sign(status, Browser("eve"), max_age=0))
        assert (receipt.counted, receipt.assurance) == (True, "aal2")
        assert (await house.world.result(handle)).outcome == "succeeded"
    entry = (await house.world.entries(status["proposal_id"], "decision_counted"))[0]["content"]
    principal = entry["principal"]
    assert (principal["identity"], principal["subject"], principal["issuer"]) == (
        "sso:eve",
        "eve",
        house.provider.issuer,
    )
    assert principal["amr"] == ["pwd", "otp"]
    assert (principal["key"]["kid"], "d" in principal["key"]) == ("one", False)
    assert await house.stored() == ["one"]
    assert await house.audited(handle) == []


async def test_an_old_or_weak_login_is_asked_to_step_up(house: House) -> None:
    """The refusal says what is wanted; who then signs in again, with more, counts."""
    async with house.workers():
        handle, status = await house.ask("bench.sign")
        old = Browser("eve", ago=3600)
        refused = await house.world.send(handle, await house.sign(status, old, max_age=7200))
        assert (refused.code, refused.wanted and refused.wanted.max_age_seconds) == ("authentication_too_old", 300)
        unsaid = await house.world.send(handle, await house.sign(status, Browser("eve")))
        assert unsaid.code == "authentication_too_old"
        weak = Browser("eve", amr=("pwd",))
        assert (await house.world.send(handle, await house.sign(status, weak, max_age=0))).code == "assurance_too_low"
        strong = Browser("eve", amr=("hwk",), acr="phr")
        counted = await house.world.send(handle, await house.sign(status, strong, max_age=0, acr_values=("phr",)))
        assert (counted.counted, counted.assurance) == (True, "aal3")


async def test_a_token_about_something_else_is_refused(house: House) -> None:
    """Another decision, another action, another client, another provider; and each attempt is on record."""
    with identity_provider(rsa("one")) as another:
        async with house.workers():
            handle, status = await house.ask("bench.sign")
            attacks: dict[str, dict[str, Any]] = {
                "token about a denial": {"about": {"vote": "deny"}},
                "token about another action": {"about": {"proposal_id": "another"}},
                "token of another client": {"client": OTHER_CLIENT},
                "token of another provider": {"provider": another},
            }
            codes = {}
            for name, how in attacks.items():
                value = await house.sign(status, Browser("eve"), max_age=0, **how)
                codes[name] = (await house.world.send(handle, value)).code
            replayed = await house.sign(status, Browser("eve"), max_age=0)
            assert (await house.world.send(handle, {**replayed, "decision_id": "another"})).code == "bad_proof"
    assert codes == {
        "token about a denial": "bad_proof",
        "token about another action": "bad_proof",
        "token of another client": "bad_proof",
        "token of another provider": "unknown_key",
    }
    assert len(await house.world.entries(status["proposal_id"], "decision_refused")) == len(attacks) + 1


async def test_an_approval_outlives_the_key_of_its_token(house: House) -> None:
    """Its key was rotated away: it still counts at dispatch, and holds in an audit. The new key is fetched."""
    async with house.workers():
        handle, status = await house.ask("bench.put")
        assert (await house.decide(handle, "eve")).counted
        assert await house.refresh() == 1
    assert await house.stored() == ["one"]
    house.provider.publish(TWO)
    async with house.workers():
        assert (await house.decide(handle, "cleo", stage=2)).counted
        assert (await house.world.result(handle)).outcome == "succeeded"
    assert await house.stored() == ["one", "two"]
    assert await house.world.effects(status["proposal_id"]) != []
    assert await house.audited(handle) == []


async def test_a_key_that_only_the_control_role_saw_lets_nothing_happen(house: House) -> None:
    """A control worker in the wrong hands may believe any key: the permit role asks the provider itself."""
    async with house.workers():
        handle, status = await house.ask("bench.put")
        house.provider.publish(rsa("planted"))
        assert (await house.decide(handle, "eve")).counted
        house.provider.publish(TWO)
    async with house.workers():
        assert (await house.decide(handle, "cleo", stage=2)).counted
        result = await house.world.result(handle)
    assert (result.outcome, result.reasons[0].code) == ("not_executed", "approval_lapsed")
    assert "issuer has no key 'planted'" in result.reasons[0].message
    assert await house.world.effects(status["proposal_id"]) == []
    assert "planted" not in await house.stored()
    assert await house.audited(handle) == []


async def test_a_control_role_that_counts_what_nobody_proved_gets_no_permit(house: House) -> None:
    """It believes a name that a client wrote, and approves; the permit role asks for the proof, and there is none."""
    async with house.workers(control_believes_names=True):
        handle, status = await house.ask("bench.put")
        assert (await house.world.decide(handle, "eve")).counted
        await house.world.pending(handle, 2)
        assert (await house.world.decide(handle, "cleo")).counted
        result = await house.world.result(handle)
    assert (result.outcome, result.reasons[0].code) == ("not_executed", "approval_lapsed")
    assert "identity eve is only claimed" in result.reasons[0].message
    assert await house.world.effects(status["proposal_id"]) == []


async def test_while_the_provider_is_down_nobody_is_believed(house: House) -> None:
    """A token whose key nobody can fetch is refused as unverifiable; when it is back, its author tries again."""
    async with house.workers():
        handle, status = await house.ask("bench.sign")
        value = await house.sign(status, Browser("eve"), max_age=0)
        house.provider.go_down()
        refused = await house.world.send(handle, value)
    assert (refused.counted, refused.code) == (False, "unverifiable")
    assert "cannot be asked: ConnectionError" in refused.message
    assert "sign again in a minute" in refused.message
    house.provider.come_back()
    async with house.workers():
        assert (await house.decide(handle, "eve")).counted
        assert (await house.world.result(handle)).outcome == "succeeded"
    assert await house.audited(handle) == []


async def test_while_the_provider_is_down_an_approval_waits_for_its_permit(house: House) -> None:
    """The permit role saw no key of it yet, and cannot ask: nothing happens, and nothing is lost, until it can."""
    house.provider.publish(rsa("fresh"))
    async with house.workers():
        handle, status = await house.ask("bench.put")
        assert (await house.decide(handle, "eve")).counted
        value = await house.sign(await house.world.pending(handle, 2), Browser("cleo"), max_age=0)
        house.provider.go_down()
        assert (await house.world.send(handle, value)).counted
        await until(lambda: _last_failure(handle, "dispatch"), lambda found: "cannot be asked" in found)
        assert await house.world.effects(status["proposal_id"]) == []
    house.provider.come_back()
    async with house.workers():
        assert (await house.world.result(handle)).outcome == "succeeded"
    assert "fresh" in await house.stored()


async def _last_failure(handle: Handle, name: str) -> str:
    """Why an activity that is tried again failed the last time."""
    pending = (await handle.describe()).raw_description.pending_activities
    return next((item.last_failure.message for item in pending if item.activity_type.name == name), "")
