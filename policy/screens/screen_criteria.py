"""A success criterion as a sentence for people."""

import json

from policy.proposal import Criterion


def criterion_words(item: Criterion) -> str:
    """What has to be read where, until when and for how long, and what is forgiven."""
    parameters = f" {_shown(item.parameters)}" if item.parameters else ""
    observed = f", for {item.observe_seconds} s" if item.observe_seconds else ""
    where = f" on {item.of}" if item.of is not None else ""
    wanted = f"= {_shown(item.equals)}" if item.success is None else f"is {item.success.words}"
    return f"{item.probe}{parameters}{where} {wanted} within {item.settled_by} s{observed}{_besides(item)}"


def _besides(item: Criterion) -> str:
    """What a criterion says besides one value that must be read from some second on."""
    said = {
        "first looked at after {} s": item.initial_delay_seconds,
        "every {} s": item.interval_seconds,
        "{} times in a row": item.consecutive_successes if item.consecutive_successes > 1 else 0,
        "failures forgiven: {}": item.failure_limit,
        "looks without a value forgiven: {}": item.error_limit or 0,
        "fails if it is {}": item.failure.words if item.failure is not None else "",
    }
    return "".join(f"; {words.format(value)}" for words, value in said.items() if value)


def _shown(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=True)
