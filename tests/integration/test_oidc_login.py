"""Signing in at a real identity provider for one statement, and everything that comes back and is not the answer."""

import asyncio
import hashlib
import logging
import webbrowser
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests

from activities.openid import OpenIdError, discover, exchanged, published_keys
from cli.oidc_login import SignInError, show_address, sign_in
from cli.signers import LoginSigner
from policy.decision import Wanted
from policy.people.directory import Directory
from policy.proofs import Assurance, Domain, nonce_of, signed_bytes
from signing.proving import Trust
from signing.tokens import unverified
from tests.provider import CLIENT, P256_CLIENT, Browser, IdentityProvider, identity_provider, signed_in
from tests.unit.signed import b64, directory, proved, statement

NONCE = nonce_of(signed_bytes(Domain.decision, statement()))


@pytest.fixture(name="provider", scope="module")
def _provider() -> Iterator[IdentityProvider]:
    with identity_provider() as provider:
        yield provider


def _people(provider: IdentityProvider, **issuer: Any) -> Directory:
    """The directory, with this issuer instead of its own."""
    entry = {"issuer": provider.issuer, "client_ids": [CLIENT], "prefix": "sso:", "acr": {"phr": "aal3"}, **issuer}
    value = directory().model_dump(mode="json", by_alias=True, exclude_unset=True)
    return Directory.model_validate({**value, "issuers": [entry]})


async def _proved(provider: IdentityProvider, token: str, **issuer: Any) -> Any:
    keys = {provider.issuer: await published_keys(await discover(provider.issuer))}
    value = {**statement(), "proof": {"kind": "oidc", "id_token": token}}
    return proved(value, Trust(_people(provider, **issuer), keys), datetime.now(UTC))


async def test_whoever_signs_in_has_signed_this_statement(provider: IdentityProvider) -> None:
    """The provider says who, when and how strongly, and its token is about the statement's hash."""
    browser = Browser("ann")
    token = await signed_in(provider, browser, NONCE, max_age=0)
    shown = await _proved(provider, token)
    assert (shown.identity, shown.issuer, shown.assurance) == ("sso:ann", provider.issuer, Assurance.aal2)
    assert datetime.now(UTC) - shown.authenticated_at < timedelta(minutes=1)
    assert browser.ended is not None
    assert "close this window" in browser.ended.text


async def test_a_class_that_the_directory_believes_is_the_assurance(provider: IdentityProvider) -> None:
    """`acr` is asked for and comes back; what `amr` says then does not matter."""
    token = await signed_in(provider, Browser("ann", amr=("hwk",), acr="phr"), NONCE, acr_values=("phr",))
    assert (await _proved(provider, token)).assurance is Assurance.aal3
    assert (await _proved(provider, token, acr={})).assurance is Assurance.aal1


async def test_people_can_be_known_by_their_mail_address(provider: IdentityProvider) -> None:
    """The scope asks for it, and it counts because the provider verified it."""
    token = await signed_in(provider, Browser("ann"), NONCE, scopes=("openid", "email"))
    assert (await _proved(provider, token, identity="email", prefix="")).identity == "ann@example.com"


async def test_a_token_may_be_signed_with_another_kind_of_key(provider: IdentityProvider) -> None:
    """P-256, as the client is registered."""
    token = await signed_in(provider, Browser("ann"), NONCE, client=P256_CLIENT)
    assert unverified(token)[0]["alg"] == "ES256"
    assert (await _proved(provider, token, client_ids=[P256_CLIENT])).identity == "sso:ann"


@pytest.mark.parametrize(("max_age", "asked"), [(None, "consent"), (7200, "consent"), (60, "login"), (0, "login")])
async def test_an_old_login_is_not_enough(provider: IdentityProvider, max_age: int | None, asked: str) -> None:
    """Who authenticated an hour ago logs in again, unless an hour is young enough; then they only consent."""
    browser = Browser("ann", ago=3600)
    await signed_in(provider, browser, NONCE)
    browser.asked.clear()
    browser.ago = 0
    await signed_in(provider, browser, NONCE, max_age=max_age)
    assert browser.asked == [asked]


async def test_whoever_refuses_has_not_signed(provider: IdentityProvider) -> None:
    """The provider's word is passed on."""
    with pytest.raises(SignInError, match="access_denied they did not want to"):
        await signed_in(provider, Browser(None), NONCE)


async def test_nobody_is_waited_for_without_end(provider: IdentityProvider) -> None:
    """Who never comes back has not signed."""
    with pytest.raises(SignInError, match="nobody signed in within"):
        await sign_in(provider.issuer, CLIENT, NONCE, patience=timedelta(milliseconds=1), tell=lambda _: None)


async def test_a_client_that_the_provider_does_not_know_gets_nothing(provider: IdentityProvider) -> None:
    """The person sees the provider's error; no answer comes."""
    browser = Browser("ann")
    with pytest.raises(SignInError, match="nobody signed in within"):
        await signed_in(provider, browser, NONCE, client="stranger", patience=timedelta(seconds=1))
    assert browser.asked == []


async def _answered(provider: IdentityProvider, **answer: str | None) -> list[int]:
    """Somebody sends the listener an answer of their own; the statuses of what they were told."""
    told: list[asyncio.Task[int]] = []

    def get(address: str) -> int:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        given = {"state": asked["state"], "code": "stolen", "iss": provider.issuer, **answer}
        kept = {name: value for name, value in given.items() if value is not None}
        return requests.get(f"{asked['redirect_uri']}?{urlencode(kept)}", timeout=20).status_code

    def tell(address: str) -> None:
        told.append(asyncio.create_task(asyncio.to_thread(get, address)))

    try:
        await sign_in(provider.issuer, CLIENT, NONCE, patience=timedelta(seconds=1), tell=tell)
    finally:
        statuses = await asyncio.gather(*told)
    return list(statuses)


ATTACKS: dict[str, tuple[dict[str, str | None], type[Exception], str]] = {
    "login csrf, an answer without our state": ({"state": "guessed"}, SignInError, "nobody signed in"),
    "an answer without any state": ({"state": None}, SignInError, "nobody signed in"),
    "mix-up, an answer of another issuer": ({"iss": "https://evil.example"}, SignInError, "not of http"),
    "mix-up, an answer that does not say whose it is": ({"iss": None}, SignInError, "not of http"),
    "a code that the provider never gave": ({}, OpenIdError, "refuses: invalid_grant"),
    "an answer without a code": ({"code": None}, SignInError, "has no code"),
    "an error that carries control characters": (
        {"error": "no\x1b[2J", "code": None},
        SignInError,
        r"says no: no\\x1b\[2J",
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
async def test_an_answer_that_is_not_ours_signs_nothing(provider: IdentityProvider, name: str) -> None:
    """Named attacks on the loopback address."""
    answer, error, message = ATTACKS[name]
    with pytest.raises(error, match=message):
        await _answered(provider, **answer)


async def _code_for(provider: IdentityProvider, verifier: str) -> dict[str, str]:
    """The form that exchanges a code, which was asked for with the challenge of a verifier; without the verifier."""
    challenge = b64(hashlib.sha256(verifier.encode()).digest())
    form = {"client_id": CLIENT, "redirect_uri": "http://127.0.0.1:1/callback"}
    asked = {**form, "response_type": "code", "scope": "openid", "code_challenge": challenge}
    endpoint = (await discover(provider.issuer)).authorization_endpoint
    address = f"{endpoint}?{urlencode({**asked, 'code_challenge_method': 'S256'})}"
    with pytest.raises(requests.ConnectionError) as nobody_listens:
        await asyncio.to_thread(Browser("ann").visit, address)
    assert nobody_listens.value.request is not None
    code = parse_qs(urlsplit(str(nobody_listens.value.request.url)).query)["code"][0]
    return {**form, "grant_type": "authorization_code", "code": code}


async def test_a_stolen_code_is_worth_nothing_without_the_verifier(provider: IdentityProvider) -> None:
    """Whoever reads the code on its way back cannot exchange it; only the one who asked can."""
    endpoint = (await discover(provider.issuer)).token_endpoint
    assert endpoint is not None
    form = await _code_for(provider, "v" * 43)
    with pytest.raises(OpenIdError, match="refuses: invalid_grant"):
        await exchanged(endpoint, {**form, "code_verifier": "w" * 43})
    form = await _code_for(provider, "v" * 43)
    assert "id_token" in await exchanged(endpoint, {**form, "code_verifier": "v" * 43})


async def test_what_comes_besides_the_answer_is_told_so(provider: IdentityProvider) -> None:
    """A browser that asks for an icon, or a scanner, does not end the waiting."""
    browser = Browser("ann")
    seen: list[int] = []

    class Curious(Browser):
        def visit(self, address: str) -> None:
            place = parse_qs(urlsplit(address).query)["redirect_uri"][0].removesuffix("/callback")
            seen.append(requests.get(f"{place}/favicon.ico", timeout=20).status_code)
            seen.append(requests.post(f"{place}/callback", timeout=20).status_code)
            browser.visit(address)

    assert await signed_in(provider, Curious(), NONCE)
    assert seen == [404, 404]


async def test_no_code_and_no_token_is_logged(provider: IdentityProvider, caplog: pytest.LogCaptureFixture) -> None:
    """Not even where everything is logged."""
    caplog.set_level(logging.DEBUG)
    browser = Browser("ann")
    token = await signed_in(provider, browser, NONCE)
    assert browser.ended is not None
    code = parse_qs(urlsplit(browser.ended.url).query)["code"][0]
    # The browser is the test's own, and logs what it visits.
    ours = [record.getMessage() for record in caplog.records if "/callback" not in record.getMessage()]
    assert not any(secret in line for line in ours for secret in (token, token.split(".")[2], code))


async def test_a_provider_that_is_down_is_said_to_be(provider: IdentityProvider) -> None:
    """Nothing is opened, nothing is waited for."""
    provider.go_down()
    try:
        with pytest.raises(OpenIdError, match="cannot be asked: ConnectionError"):
            await sign_in(provider.issuer, CLIENT, NONCE, tell=lambda _: None)
    finally:
        provider.come_back()


@pytest.mark.parametrize("claim", ["sub", "email"])
async def test_the_command_line_signs_by_a_login(
    provider: IdentityProvider, claim: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says where to sign in, opens the browser, asks for what is wanted and no more claims than it needs."""
    browser, visits = Browser("ann"), ThreadPoolExecutor(1)
    monkeypatch.setattr("webbrowser.get", lambda: Opened(visits, browser))
    people = _people(provider, identity=claim, prefix="sso:" if claim == "sub" else "")
    wanted = Wanted(assurance=Assurance.aal3, max_age_seconds=60)
    browser.acr = "phr"
    proof = await LoginSigner(provider.issuer).prove(statement(), Domain.decision, people, wanted)
    visits.shutdown()
    claims = unverified(proof["id_token"])[1]
    assert (claims["nonce"], claims["acr"], "email" in claims) == (NONCE, "phr", claim == "email")
    said = capsys.readouterr()
    assert (said.out, said.err.startswith(f"to sign in, open {provider.issuer}/auth?")) == ("", True)


async def test_a_browser_in_the_terminal_is_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would take the place of whoever waits there; and without any the address is said all the same."""
    visits = ThreadPoolExecutor(1)
    monkeypatch.setattr("webbrowser.get", lambda: Opened(visits, Browser("ann"), name="w3m"))
    show_address("https://login.example/auth")
    assert not visits._threads

    def none() -> Opened:
        raise webbrowser.Error("could not locate runnable browser")

    monkeypatch.setattr("webbrowser.get", none)
    show_address("https://login.example/auth")


@dataclass
class Opened:
    """What the standard library finds as the user's browser; it works beside whoever opened it."""

    visits: ThreadPoolExecutor
    browser: Browser
    name: str = "firefox"

    def open(self, address: str) -> None:
        self.visits.submit(self.browser.visit, address)
