"""What an operator may write of an endpoint, what an answer says, and that no value aims a request elsewhere."""

import json
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from activities.executors.base import Order, PreconditionFailedError, TargetCredentials
from activities.executors.http import make
from activities.executors.http_answers import retry_after, says
from activities.executors.http_client import Answer
from activities.executors.http_guard import is_allowed
from activities.executors.http_requests import effect
from activities.executors.http_settings import HttpOperation, HttpSettings
from activities.executors.kinds import ExecutorSettingsError, make_executors
from activities.executors.places import Place
from activities.executors.values import own_of, values_of
from policy.permit import Direction
from policy.targets import ResolvedTarget

BASE = "https://flags.example.org/v1"
AT = datetime(2030, 1, 31, 9, tzinfo=UTC)
TEXT = {"type": "string"}
HOST: dict[str, Any] = {"headers": {"Authorization": "Bearer hunter2"}}


def _call(**more: Any) -> dict[str, Any]:
    return {"parameters": {"flag": TEXT}, "call": {"path": "/flags/{flag}", **more}}


def _whole(operation: Any = None, **more: Any) -> dict[str, Any]:
    given = {"hosts": {"flags.example.org": HOST}, "operations": {"http.flag.set": operation or _call()}, **more}
    return {"kind": "http", **given}


def _hosts(name: str = "flags.example.org", **more: Any) -> dict[str, Any]:
    return _whole(hosts={name: {**HOST, **more}})


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no host": (_whole(hosts={}), "hosts"),
    "a host with a port": (_hosts("flags.example.org:443"), "hosts"),
    "a decimal host": (_hosts("2130706433"), "hosts"),
    "a hexadecimal host": (_hosts("0x7f.1"), "hosts"),
    "an octal host": (_hosts("0177.0.0.1"), "hosts"),
    "a host in capitals": (_hosts("Flags.example.org"), "hosts"),
    "a host with a place": (_hosts("{flag}.example.org"), "hosts"),
    "nobody known there": (_whole(hosts={"flags.example.org": {}}), "has to be known there"),
    "a weak secret": (_hosts(secret="whsec_aaaa"), "24 to 64 random bytes"),
    "a network of hosts": (_hosts(networks=["10.0.0.1/8"]), "host bits set"),
    "a header of ours": (_hosts(headers={"Host": "other"}), "no header of an entry's own"),
    "our key": (_hosts(headers={"Idempotency-Key": "1"}), "no header of an entry's own"),
    "a header in a header": (_hosts(headers={"x": "hunter2\r\ny: z"}), "no printable ascii"),
    "a path that is a host": (_whole(_call(path="//other.example.org/{flag}")), "empty segment"),
    "a whole address": (_whole(_call(path="https://other.example.org/{flag}")), "a path begins with /"),
    "a path without a begin": (_whole(_call(path="{flag}")), "a path begins with /"),
    "a path that goes up": (_whole(_call(path="/../{flag}")), "is . or .."),
    "a query in the path": (_whole(_call(path="/flags?x={flag}")), "a query goes into query"),
    "an encoded path": (_whole(_call(path="/%2e%2e/{flag}")), "a path begins with /"),
    "a single brace": (_whole(_call(path="/{flag")), "no place for a value"),
    "a place for what is not declared": (_whole(_call(path="/{flag}/{other}")), "there is no other here"),
    "a parameter that changes nothing": (
        _whole({"parameters": {"flag": TEXT, "value": TEXT}, "call": {"path": "/{flag}", "body": {}}}),
        "parameter value is used nowhere",
    ),
    "a secret in a path": (
        _whole({"parameters": {"flag": {"type": "string", "secret": True}}, "call": {"path": "/{flag}"}}),
        "which may not stand here",
    ),
    "a path that may have a hole": (
        _whole({"parameters": {"flag": {"type": "string", "required": False}}, "call": {"path": "/{flag}"}}),
        "may be missing",
    ),
    "an object in a path": (
        _whole({"parameters": {"flag": {"type": "object"}}, "call": {"path": "/{flag}"}}),
        "no single value",
    ),
    "a list of any length in a path": (
        _whole({"parameters": {"flag": {"type": "list"}}, "call": {"path": "/{flag.1}"}}),
        "minimum and maximum alike",
    ),
    "a hole in a list of the body": (
        _whole(
            {
                "parameters": {"flag": {"type": "string", "required": False}},
                "call": {"path": "/", "body": {"flags": ["$flag"]}},
            }
        ),
        "an item of a list may not",
    ),
    "a body for a get": (_whole(_call(method="GET", body={})), "GET has no body"),
    "what is resolved where nothing is": (_whole(_call(path="/{flag}/{target.id}")), "there is no target.id here"),
    "a dry run that would be the effect": (_whole({**_call(), "dry_run": {}}), "call of its own, or headers or query"),
    "a state that means two things": (
        _whole({**_call(), "completion": {"states": {"pointer": "/s", "done": ["x"], "failed": ["x"]}}}),
        "means one thing",
    ),
    "a parameter of our name": (
        _whole({"parameters": {"order": TEXT}, "call": {"path": "/{order}"}}),
        "cannot be called order",
    ),
    "a choice that is a parameter": (_whole({"choose": "flag", "among": {"x": _call()}}), "none of its own parameters"),
    "a permit where there is no place": (
        _whole({**_call(body={"flag": "$flag"}), "permit": "body"}),
        "has no $order.permit",
    ),
    "a probe with a pointer that is none": (
        _whole(probes={"http.x.y": {"path": "/x", "value": "on"}}),
        "no json pointer",
    ),
}


@pytest.mark.parametrize(("entry", "said"), REFUSED.values(), ids=REFUSED)
def test_an_entry_that_says_too_much_or_too_little_is_refused(entry: dict[str, Any], said: str) -> None:
    """With a sentence, and without the secrets in it."""
    with pytest.raises(ExecutorSettingsError) as error:
        make_executors({"flags": entry}, TargetCredentials({}))

    assert said in str(error.value)
    assert "hunter2" not in str(error.value)


def test_of_each_operation_is_said_what_its_entry_can_do_and_of_all_what_each_can() -> None:
    full = {
        **_call(),
        "observe": {"path": "/effects/{order.permit_id}"},
        "dry_run": {"headers": {"X-Dry-Run": "1"}},
        "resolve": {"path": "/flags", "query": {"name": "{flag}"}, "listing": {"id": "/id"}},
        "completion": {"cancel": {}},
    }
    by_looks = {**_call(), "observe": {"path": "/flags/{flag}"}}
    several = {"choose": "which", "among": {"full": full, "plain": by_looks}}
    operations = {"a.full": full, "a.plain": _call(), "a.looks": by_looks, "a.several": several}
    executor = make(
        "flags",
        {key: value for key, value in _whole(operations=operations).items() if key != "kind"},
        TargetCredentials({}),
    )

    found = {name: executor.supports.of(name) for name in operations}

    assert {name: (one.resolves, one.dry_runs, one.observes, one.stops) for name, one in found.items()} == {
        "a.full": (True, True, "by_key", "within"),
        "a.plain": (False, False, "never", "between"),
        "a.looks": (False, False, "by_effect", "between"),
        "a.several": (False, False, "by_effect", "between"),
    }
    assert (executor.supports.observes, executor.supports.stops) == ("never", "between")
    assert executor.supports.resolves == executor.supports.dry_runs == {"a.full"}


VALUES = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            "..",
            ".",
            "",
            "/",
            "//evil",
            "a/../b",
            "%2e%2e",
            "..;",
            "a?b=c",
            "a#b",
            "a&b=c",
            "\\\\evil",
            "@evil",
            "evil:80",
            "a\r\nx: y",
            "\0",
            "\uff45vil",
            "{flag}",
            "${x}",
            "http://evil/",
            "\u202e",
        ]
    ),
    st.text(alphabet="abc.-_~@:+=,%/;", min_size=1, max_size=6),
    st.integers(),
    st.booleans(),
)


@given(first=VALUES, second=VALUES, third=VALUES)
def test_no_value_changes_where_a_request_goes(first: Any, second: Any, third: Any) -> None:
    """Host, scheme, segments of the path and names of the query stay, or the request is not made."""
    any_type = {"flag": _typed(first), "part": _typed(second), "query": _typed(third)}
    operation = HttpOperation.model_validate_json(
        json.dumps(
            {
                "parameters": any_type,
                "call": {
                    "path": "/flags/{flag}/x-{part}.json",
                    "query": {"q": "{query}", "both": "{flag},{query}"},
                    "body": {"$fixed": "$query", "nested": [{"part": "$part"}], "text": "$$query"},
                },
            }
        )
    )
    order = Order("p-1", Direction.do, "http.flag.set", {}, ("http/flags",), timedelta(seconds=5))
    place = Place("p-1", "http/flags")
    host = HttpSettings.model_validate_json(json.dumps({"hosts": {"h": HOST}, "operations": {}})).hosts["h"]
    try:
        values = values_of(
            operation.parameters, {"flag": first, "part": second, "query": third}, {}, own_of(order, place)
        )
        request = effect(operation, order, place, values, BASE, host, AT)
    except PreconditionFailedError:
        return

    parts, sent = urlsplit(request.url), URL(request.url, encoded=True)
    segments = parts.path.split("/")
    assert (parts.scheme, parts.netloc, parts.fragment, sent.host, sent.port) == (
        "https",
        "flags.example.org",
        "",
        "flags.example.org",
        443,
    )
    assert segments[:3] == ["", "v1", "flags"]
    assert len(segments) == 5
    assert segments[4].startswith("x-")
    assert segments[4].endswith(".json")
    assert not {".", "..", ""} & set(segments[1:])
    assert sent.raw_path == parts.path
    assert [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)] == ["q", "both"]
    assert dict(parse_qsl(parts.query))["q"] == (third if isinstance(third, str) else json.dumps(third))
    assert request.body is not None
    assert json.loads(request.body) == {"$fixed": third, "nested": [{"part": second}], "text": "$query"}
    assert request.url.isascii()
    assert request.headers["authorization"] == "Bearer hunter2"


def _typed(value: Any) -> dict[str, str]:
    kinds = {bool: "boolean", int: "integer", str: "string"}
    return {"type": kinds[type(value)]}


@pytest.mark.parametrize(
    ("version", "sent"),
    [("7", '"7"'), ('"7"', '"7"'), ('W/"7"', 'W/"7"'), ('a"b', None), ("a b", None), ("", None), ("7\r\nx: y", None)],
)
def test_a_version_is_sent_as_an_entity_tag_or_nothing_is_sent(version: str, sent: str | None) -> None:
    resolved = {**_call(), "resolve": {"path": "/flags", "query": {"n": "{flag}"}, "listing": {"id": "/id"}}}
    operation = HttpOperation.model_validate_json(json.dumps(resolved))
    order = Order("p-1", Direction.do, "http.flag.set", {}, ("r",), timedelta(seconds=5))
    place = Place("p-1", "r", ResolvedTarget(id="x", resource="r", version=version))
    values = values_of(operation.parameters, {"flag": "x"}, {}, own_of(order, place))
    host = HttpSettings.model_validate_json(json.dumps({"hosts": {"h": HOST}, "operations": {}})).hosts["h"]

    if sent is None:
        with pytest.raises(PreconditionFailedError, match="If-Match"):
            effect(operation, order, place, values, BASE, host, AT)
    else:
        assert effect(operation, order, place, values, BASE, host, AT).headers["if-match"] == sent


def test_a_permit_that_no_header_takes_is_not_left_out() -> None:
    operation = HttpOperation.model_validate_json(json.dumps(_call(body={"flag": "$flag"})))
    order = Order("p-1", Direction.do, "http.flag.set", {}, ("r",), timedelta(seconds=5), signed="x" * 7001)
    place = Place("p-1", "r")
    values = values_of(operation.parameters, {"flag": "x"}, {}, own_of(order, place))
    host = HttpSettings.model_validate_json(json.dumps({"hosts": {"h": HOST}, "operations": {}})).hosts["h"]

    with pytest.raises(PreconditionFailedError, match=r"put \$order.permit into the body"):
        effect(operation, order, place, values, BASE, host, AT)


WAITS: dict[str, tuple[str, float | None]] = {
    "seconds": ("120", 120.0),
    "now": ("0", 0.0),
    "a date": ("Thu, 31 Jan 2030 09:00:30 GMT", 30.0),
    "a date before": ("Thu, 31 Jan 2030 08:00:00 GMT", 0.0),
    "nothing": ("", None),
    "a fraction": ("1.5", None),
    "less than nothing": ("-5", None),
    "digits of another script": ("١٢", None),
    "for ever": ("9" * 40, None),
    "a word": ("soon", None),
}


@pytest.mark.parametrize(("text", "seconds"), WAITS.values(), ids=WAITS)
def test_how_long_an_answer_asks_to_wait(text: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": text}, AT) == seconds


@given(status=st.integers(100, 999), idempotent=st.booleans(), later=st.booleans())
def test_only_a_class_of_success_says_done_and_only_a_refusal_says_that_nothing_was(
    status: int, idempotent: bool, later: bool
) -> None:
    found = says(Answer(status, {"retry-after": "1"} if later else {}), idempotent=idempotent)

    assert (found == "done") == (200 <= status < 300 and status != 202)
    assert found not in ("refused", "changed", "later") or status in (301, 307, 308) or 400 <= status < 500
    assert found != "perhaps_later" or (idempotent and later and status == 503)
    assert status < 500 or found in ("unknown", "perhaps_later")


@given(number=st.integers(0, 2**32 - 1))
def test_an_ipv4_address_that_is_refused_is_refused_in_every_dress(number: int) -> None:
    """Mapped, translated or tunnelled, an address that nobody listed is no other one."""
    plain = ip_address(number)
    mapped = ip_address(f"::ffff:{plain}")

    assert is_allowed(mapped, ()) <= is_allowed(plain, ())
    assert not is_allowed(ip_address((0x64FF9B << 96) + number), ())
    assert not is_allowed(ip_address((0x2002 << 112) + (number << 80)), ())
    assert is_allowed(plain, [ip_network(plain)])
