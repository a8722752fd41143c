"""The ledger of an action as lines for people: who did what, when, on which grounds."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cli.readings import readings
from policy.canonical import canonical


def lines(entries: Iterable[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """Instant, kind and one sentence for each entry, given as `policy.ledger.read_entry` gives them."""
    return [
        (str(entry["at"]), str(entry["kind"]) + (" (late)" if entry.get("late") else ""), _said(entry))
        for entry in entries
    ]


def _said(entry: Mapping[str, Any]) -> str:
    content = entry.get("content")
    if not isinstance(content, Mapping):
        return ""
    say = _SAYERS.get(str(entry["kind"]), _plain)
    try:
        return say(content)
    except (KeyError, TypeError):
        # An entry of another release is shown as it is rather than not at all.
        return _plain(content)


def _assessed(content: Mapping[str, Any]) -> str:
    revision = content["revision"]
    assessment, evaluation = revision["assessment"], revision["evaluation"]
    reasons = "; ".join(reason["message"] for reason in evaluation["reasons"])
    said = f"{evaluation['verdict']}, {assessment['risk_tier']} ({assessment['risk_score']}): {reasons}"
    before = revision.get("superseded")
    if not before:
        return said
    void = ", ".join(dict.fromkeys(item["person_id"] for item in before["voided"]))
    lost = f"; void are the votes of {void}" if void else ""
    held = ", held" if revision.get("held") else ""
    return f"revision {revision['revision']}{held}: {'; '.join(before['changes']) or before['rule']}{lost}; {said}"


def _remeasured(content: Mapping[str, Any]) -> str:
    drift = content["drift"]
    return f"measured again, {drift['kind']}: {'; '.join(drift['changes']) or 'as it was assessed'}"


def _votes_kept(content: Mapping[str, Any]) -> str:
    people = ", ".join(dict.fromkeys(item["person_id"] for item in content["ballots"])) or "nobody"
    return f"revision {content['revision']} keeps the votes of {people}"


def _denier_told(content: Mapping[str, Any]) -> str:
    earlier = ", ".join(str(item["proposal_id"]) for item in content["denied"])
    return f"{', '.join(content['told'])} denied the same effect in {earlier}, and is told that it is proposed again"


def _decision(content: Mapping[str, Any]) -> str:
    receipt, submission = content["receipt"], content.get("submission") or {}
    person = content.get("person")
    who = person["person_id"] if person else submission.get("proof", {}).get("identity", "somebody")
    behind = submission.get("on_behalf_of")
    said = submission.get("justification", "")
    end = f"; {receipt['code']}: {receipt['message']}" if not receipt["counted"] else ""
    stage = f" in stage {submission['stage']}" if "stage" in submission else ""
    head = f"{who}{f' for {behind}' if behind else ''}: {submission.get('vote', 'no decision')}"
    return f"{head}{stage} by {content['channel']}{_proved(content)}{end}" + (f' ("{said}")' if said else "")


def _proved(content: Mapping[str, Any]) -> str:
    """By what whoever decided showed who they are; that it was only claimed is said, too."""
    principal = content.get("principal")
    if principal is None:
        kind = (content.get("submission") or {}).get("proof", {}).get("kind")
        return ", only claimed" if kind == "claimed" else ""
    by = f"a login at {principal['issuer']}" if principal["kind"] == "oidc" else f"key {principal['key_id']}"
    return f", shown by {by}"


def _recorded(content: Mapping[str, Any]) -> str:
    result = content["result"]
    dry = "dry run, nothing is changed: " if result.get("dry_run") else ""
    return f"{dry}{result['resolution']}, outcome {result['outcome']}: " + "; ".join(
        reason["message"] for reason in result["reasons"]
    )


def _stopped(content: Mapping[str, Any]) -> str:
    why = f' ("{content["why"]}")' if content.get("why") else ""
    return f"{content['kind']} by {content['actor']}{why}"


def _offered(content: Mapping[str, Any]) -> str:
    """What came of each alternative."""
    said = []
    for item in content["considered"]:
        offer = item["offer"]
        what = f"{offer['proposal']['proposal_id']} is offered" if offer else f"not offered, {item['why']}"
        said.append(f"alternative {item['number']}: {what}")
    return "; ".join(said)


def _review_opened(content: Mapping[str, Any]) -> str:
    review = content["review"]
    return f"{', '.join(review['people'])} broke {review['break_glass']}: to be reviewed until {review['due_at']}"


def _unresolved_opened(content: Mapping[str, Any]) -> str:
    item = content["item"]
    return f"{item['outcome']} on {item['target']}: people are asked what became of it, until {item['due_at']}"


def _item_decided(content: Mapping[str, Any]) -> str:
    said = _decision(content)
    finding = content["finding"]
    return f"{said}: {finding['found'] or finding['outcome']}" if finding else said


def _unresolved_closed(content: Mapping[str, Any]) -> str:
    if not content["by"]:
        return f"{content['repaired_by']} has remedied it"
    by = f" by {content['repaired_by']}" if content["repaired_by"] else ""
    return f"{' and '.join(content['by'])} found {content['found']}{by}"


def _amended(content: Mapping[str, Any]) -> str:
    finding = content["finding"]
    incident = f", incident {finding['incident']}" if finding["incident"] else ""
    by = f", said by {' and '.join(content['by'])}" if content["by"] else ""
    return f"known now: {finding['outcome']}{incident}; it was {content['was']}{by}"


def _outside(content: Mapping[str, Any]) -> str:
    said = content["statement"]
    return f"{content['person']} stated that {said['done_by']} did on {said['target']}: {said['what']}"


def known_now(entries: Iterable[Mapping[str, Any]]) -> str:
    """How an action ended as people know it now; empty where nobody amended it."""
    found = [entry["content"] for entry in entries if str(entry["kind"]) == "amended"]
    return _amended(found[-1]) if found else ""


def _due(content: Mapping[str, Any]) -> str:
    return str(content["due"]["text"]) if "due" in content else _event(content)


def _event(content: Mapping[str, Any]) -> str:
    event = content["event"]
    found = ", ".join((*event["groups"], *event["people"]))
    return f"stage {event['stage']}{f' to {found}' if found else ''}: {event['reason']}"


def _dispatched(content: Mapping[str, Any]) -> str:
    """What is about to happen, and what would undo it."""
    said = []
    for permit in content["permits"]:
        what = f"{permit['operation']} {canonical(permit['parameters']).decode()} on {', '.join(permit['resolved'])}"
        said.append(f"step {permit['step']}: {what}" if permit["direction"] == "do" else f"undo: {what}")
    dry = "dry run, nothing is changed: " if any(permit.get("dry_run") for permit in content["permits"]) else ""
    return dry + "; ".join(said)


def _reported(content: Mapping[str, Any]) -> str:
    report, undo = content["report"], content["direction"] == "undo"
    said = [f"{'undo of ' if undo else ''}step {content['step']}: {report['status']}, effect {report['effect']}"]
    read = [said for _, said in readings(report)]
    seen = [f"seen at the target: {report['observed']}"] if report.get("observed") else []
    return "; ".join(said + seen + ([report["message"]] if report["message"] else read))


def _acknowledged(content: Mapping[str, Any]) -> str:
    """Who said that permits are issued again, and what the record forgot."""
    lost = ", ".join(dict.fromkeys(str(item["proposal_id"]) for item in content["missing"])) or "nobody knows what"
    reasons = "; ".join(str(item["statement"]["reason"]) for item in content["acknowledged"])
    return f"{' and '.join(content['people'])} acknowledged that the record forgot {lost}: {reasons}"


def _violation(content: Mapping[str, Any]) -> str:
    """What was violated; of what the watcher or the detector saw, what is known of it."""
    watched = content.get("watched", content.get("trail"))
    if not isinstance(watched, Mapping):
        return _plain(content)
    known = [f"{key} {value}" for key, value in watched.items() if key != "sign" and isinstance(value, str)]
    return "; ".join([str(content["what"]), *known])


def _plain(content: Mapping[str, Any]) -> str:
    """Every plain value of an entry, and the messages of its reasons."""
    parts = [f"{key} {value}" for key, value in content.items() if isinstance(value, str | int | float)]
    reasons = content.get("reasons")
    if isinstance(reasons, list):
        parts += [str(reason["message"]) for reason in reasons if isinstance(reason, Mapping) and "message" in reason]
    return "; ".join(part for part in parts if "sha256:" not in part)


_SAYERS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "assessed": _assessed,
    "remeasured": _remeasured,
    "votes_kept": _votes_kept,
    "denier_told": _denier_told,
    "decision_counted": _decision,
    "decision_refused": _decision,
    "stopped": _stopped,
    "offered": _offered,
    "review_opened": _review_opened,
    "review_decided": _decision,
    "reminded": _due,
    "escalated": _due,
    "held": _due,
    "vote_dropped": _event,
    "unreachable": _event,
    "graced": _event,
    "dispatched": _dispatched,
    "reported": _reported,
    "restore_acknowledged": _acknowledged,
    "unresolved_opened": _unresolved_opened,
    "unresolved_closed": _unresolved_closed,
    "item_decided": _item_decided,
    "amended": _amended,
    "outside_stated": _outside,
    "violation": _violation,
    "recorded": _recorded,
}
