"""A platform's worker in another language: the example in TypeScript, on Node, from the permit to the effect."""

import asyncio
import json
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from temporalio.client import ActivityFailureError, Client
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError

from activities.executors.base import (
    ExecutorError,
    Inquiry,
    Order,
    PreconditionFailedError,
    ProbeOrder,
    TargetCredentials,
)
from activities.executors.temporal import TemporalExecutor, make
from deploy.dev import Stack
from policy.canonical import canonical, digest_of
from policy.permit import Direction, Permit, part_key
from policy.targets import ResolvedTarget
from signing.jws import sign
from signing.keys import generate
from tests.integration.executors.platform import KEY, NAMESPACE, namespace_client, permitted
from tests.typescript_worker import SOURCE, typescript_worker
from tests.unit.permitted import encoded
from tests.unit.signed import AUDIENCE

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

RESOURCE = "site/front"
P256 = generate("permit-p256", "p256")


@dataclass
class Site:
    """The platform whose worker runs, and our executor before it."""

    client: Client
    queue: str
    folder: Path
    executor: TemporalExecutor

    def journal(self) -> list[str]:
        """What was done, as the worker's own journal has it."""
        file = self.folder / "journal.log"
        return file.read_text().splitlines() if file.exists() else []

    def shown(self, site: str) -> bool:
        """Whether a site shows a maintenance page."""
        return (self.folder / f"{site}.html").exists()


@pytest_asyncio.fixture(name="worker", scope="module", loop_scope="module")
async def _worker(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Path, str]]:
    """The folder of the worker's site, and its queue."""
    folder, queue = tmp_path_factory.mktemp("site"), f"site-{uuid4().hex}"
    await namespace_client(stack.temporal_address)
    (folder / "keys.json").write_text(json.dumps({"keys": [{**key.public, "kid": key.id} for key in (KEY, P256)]}))
    settings = {"address": stack.temporal_address, "namespace": NAMESPACE, "queue": queue, "folder": str(folder)}
    keys = {"keys": str(folder / "keys.json"), "issuer": AUDIENCE, "executor": "site"}
    async with typescript_worker({**settings, **keys}, folder):
        yield folder, queue


@pytest_asyncio.fixture(name="site", loop_scope="module", params=["activity", "workflow"])
async def _site(request: pytest.FixtureRequest, stack: Stack, worker: tuple[Path, str]) -> Site:
    folder, queue = worker
    show = {"workflow": "ShowMaintenance"} if request.param == "workflow" else {"activity": "site.maintenance.show"}
    asks = {"queue": f"{queue}-asks"}
    entry = {
        "address": stack.temporal_address,
        "namespace": NAMESPACE,
        "operations": {
            "site.maintenance.show": {
                **show,
                "queue": queue,
                "rehearses": True,
                "resolve": {"activity": "maintenanceSites", **asks},
            },
            "site.maintenance.hide": {"activity": "site.maintenance.hide", "queue": queue, "rehearses": True},
        },
        "probes": {"site.maintenance.shown": {"activity": "maintenanceShown", **asks}},
    }
    client = await namespace_client(stack.temporal_address)
    return Site(client, queue, folder, make("site", entry, TargetCredentials({})))


def a_permit(name: str, direction: Direction = Direction.do, **changes: Any) -> Permit:
    """A permit to show or to hide the maintenance page of a site."""
    usual = {
        "executor": "site",
        "operation": f"site.maintenance.{'show' if direction is Direction.do else 'hide'}",
        "parameters": {"site": name, "text": "back at six, «bis gleich»"},
        "resolved": (RESOURCE,),
        "resolved_digest": digest_of([RESOURCE]),
        "targets": (ResolvedTarget(id=name, resource=RESOURCE, units=0.5),),
    }
    return permitted(str(uuid4()), direction, **{**usual, **changes})


def fresh() -> str:
    """A site that nobody touched."""
    return f"s-{uuid4().hex[:12]}"


async def wrong(site: Site, order: Order) -> ExecutorError:
    """What an order fails with."""
    with pytest.raises(ExecutorError) as error:
        await site.executor.execute(order)
    return error.value


@pytest.mark.parametrize("key", [KEY, P256], ids=["Ed25519", "P-256"])
async def test_a_permit_has_one_effect_and_its_undo_another(site: Site, key: Any) -> None:
    """Asked for again and again, it is shown once and hidden; what a probe reads agrees."""
    name = fresh()
    order = Order.under(a_permit(name, key=key))
    undo = Order.under(a_permit(name, Direction.undo, key=key))

    assert await site.executor.observe(order) == "none"
    await asyncio.gather(*(site.executor.execute(order) for _ in range(3)))

    assert site.shown(name)
    assert await site.executor.observe(order) == "done"
    assert await site.executor.measure(ProbeOrder("site.maintenance.shown", {"site": name}, RESOURCE)) is True
    for _ in range(2):
        await site.executor.execute(undo)
    assert await site.executor.measure(ProbeOrder("site.maintenance.shown", {"site": name}, RESOURCE)) is False
    assert [line for line in site.journal() if name in line] == [
        f"show {name} {order.permit_id}",
        f"hide {name} {undo.permit_id}",
    ]


def _edited(name: str) -> str:
    good, other = str(a_permit(name).signed).split("."), str(a_permit(fresh()).signed).split(".")
    return ".".join((good[0], other[1], good[2]))


def _twice(name: str) -> str:
    """A payload with a member twice, signed by the right key: two readers could take it for different permits."""
    token = str(a_permit(name).signed).split(".")[1]
    payload = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    return sign(payload[:-1] + b',"operation":"site.maintenance.show"}', KEY, "countersign-permit+jws")


def _spaced(name: str) -> str:
    head, payload, signature = str(a_permit(name).signed).split(".")
    return f"{head}.{payload}=.{signature}"


def _unsigned(name: str) -> str:
    payload = str(a_permit(name).signed).split(".")[1]
    return f"{encoded(canonical({'alg': 'none', 'kid': KEY.id, 'typ': 'countersign-permit+jws'}))}.{payload}."


FORGED: dict[str, tuple[str, Any]] = {
    "signed by another key of that id": ("bad_signature", lambda name: a_permit(name, key=generate(KEY.id)).signed),
    "signed by another key": ("unknown_key", lambda name: a_permit(name, key=generate("control-1")).signed),
    "edited": ("bad_signature", _edited),
    "without a signature": ("unknown_key", _unsigned),
    "a member twice": ("malformed", _twice),
    "padded": ("malformed", _spaced),
    "no permit": ("malformed", lambda _: "permit"),
    "expired": (
        "expired",
        lambda name: a_permit(name, expires_at=datetime.now(UTC) - timedelta(seconds=2)).signed,
    ),
    "not yet": ("not_yet", lambda name: a_permit(name, claims={"nbf": 4102444800}).signed),
    "a step without an end": ("expired", lambda name: a_permit(name, expires_at=None).signed),
    "for another executor": ("wrong_audience", lambda name: a_permit(name, executor="payroll").signed),
    "of another installation": ("wrong_audience", lambda name: a_permit(name, claims={"iss": "other"}).signed),
    "for another operation": ("wrong_operation", lambda name: a_permit(name, operation="site.delete").signed),
    "of another permit": ("wrong_id", lambda name: a_permit(name).signed),
    "claimed only": ("assurance_not_accepted", lambda name: a_permit(name, claims={"assurance": "claimed"}).signed),
    "of a dry run": ("dry_run", lambda name: a_permit(name, claims={"dry_run": True}).signed),
    "of other ids": ("malformed", lambda name: a_permit(name, claims={"resolved": ["site/all"]}).signed),
}


@pytest.mark.parametrize(("code", "made"), FORGED.values(), ids=FORGED)
async def test_the_worker_refuses_what_is_no_permit_for_this(site: Site, code: str, made: Any) -> None:
    """Whatever our executor would hand on: the worker verifies by itself, and does nothing."""
    name = fresh()
    order = replace(Order.under(a_permit(name)), signed=made(name))

    error = await wrong(site, order)

    assert type(error) is PreconditionFailedError
    assert f"{code}:" in str(error)
    assert not site.shown(name)


async def test_a_permit_is_used_once_even_by_who_forgets_its_runs(site: Site) -> None:
    """Whoever may write there starts a second run of the same id: the worker's own store refuses it."""
    name = fresh()
    order = Order.under(a_permit(name))
    await site.executor.execute(order)
    (site.folder / f"{name}.html").unlink()

    again = await site.client.start_activity(
        "site.maintenance.show",
        {"permit": order.signed},
        id=f"permit/{order.permit_id}",
        task_queue=site.queue,
        start_to_close_timeout=timedelta(seconds=10),
        retry_policy=RetryPolicy(maximum_attempts=1),
    )
    with pytest.raises(ActivityFailureError) as error:
        await again.result()

    assert isinstance(error.value.cause, ApplicationError)
    assert error.value.cause.type == "reused"
    assert not site.shown(name)


async def test_one_target_at_a_time_has_a_run_of_its_own(site: Site) -> None:
    """The worker acts on the one that the id names, once, and on none that the permit does not name."""
    name = fresh()
    order = Order.under(a_permit(name, claims={"one_by_one": True}))
    part, other = (replace(order, permit_id=part_key(order.permit_id, number)) for number in (1, 2))

    await asyncio.gather(*(site.executor.execute(part) for _ in range(2)))

    assert await site.executor.observe(part) == "done"
    for wrong_one in (order, other):
        assert "wrong_id" in str(await wrong(site, wrong_one))
    assert [line for line in site.journal() if name in line] == [f"show {name} {order.permit_id}"]


async def test_an_undo_is_for_what_its_order_names_of_the_permitted(site: Site) -> None:
    """Part of what was permitted is carried out; what names nothing of it is refused."""
    name = fresh()
    both = tuple(ResolvedTarget(id=each, resource=RESOURCE) for each in (name, "other"))
    undo = Order.under(a_permit(name, Direction.undo, targets=both))
    nothing = replace(undo, targets=(ResolvedTarget(id="another", resource=RESOURCE),))

    assert "names nothing that permit" in str(await wrong(site, nothing))
    await site.executor.execute(replace(undo, targets=both[:1]))

    assert [line for line in site.journal() if name in line] == [f"hide {name} {undo.permit_id}"]


async def test_what_does_not_fit_is_refused_and_rehearsed_first(site: Site) -> None:
    """A dry run says what would happen, changes nothing and uses up nothing; what is refused was not done."""
    name = fresh()
    order, other = Order.under(a_permit(name)), Order.under(a_permit(name))

    said = await site.executor.dry_run(replace(Order.under(a_permit(name, dry_run=True)), dry_run=True))
    await site.executor.execute(order)
    error = await wrong(site, other)

    assert said == f"would show a maintenance page for {name}"
    assert type(error) is PreconditionFailedError
    assert "in maintenance already" in str(error)
    assert await site.executor.observe(other) == "none"
    assert len([line for line in site.journal() if name in line]) == 1


async def test_it_says_what_would_be_touched(site: Site) -> None:
    name = fresh()
    asked = Inquiry("site.maintenance.show", {"site": name}, (RESOURCE,), "production")

    [found] = await site.executor.resolve(asked)

    assert (found.id, found.resource, found.state) == (name, RESOURCE, {"shown": False})
    with pytest.raises(PreconditionFailedError, match="no name of a site"):
        await site.executor.resolve(replace(asked, parameters={"site": "../../etc"}))


async def test_its_packages_have_exact_versions() -> None:
    """And no lock file, which would name where they came from."""
    manifest = json.loads((SOURCE / "package.json").read_text())
    versions = [*manifest["dependencies"].values(), *manifest["devDependencies"].values()]

    assert all(version.replace(".", "").isdigit() for version in versions)
    assert sorted(file.name for file in SOURCE.iterdir() if file.name != "src") == [
        "README.md",
        "package.json",
        "tsconfig.json",
    ]
