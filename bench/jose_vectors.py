"""Wycheproof's vectors of whole JWS and JWK, verified as tokens: `python -m bench.jose_vectors FOLDER`.

FOLDER is `testvectors_v1` of a clone of Project Wycheproof. Prints a table for docs/vectors.md; the vectors of JWE are
left out, nothing is encrypted to a key here. What differs from Wycheproof's own verdict is listed with the reason.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.figures import table
from signing.jws import BadSignatureError
from signing.tokens import UnknownKidError, verify_signature

COLUMNS = ("accepted", "refused")
FILES = ("json_web_signature", "json_web_crypto", "json_web_key")


def outcomes(file: Path) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Each vector of a file with `accepted` or `refused`, and why it was refused."""
    for group in json.loads(file.read_text())["testGroups"]:
        given = group.get("public") or group.get("private")
        for test in group["tests"]:
            if "jws" not in test:
                continue
            # The JSON serialization (RFC 7515, 7.2) is an object there; here a token is text.
            token = test["jws"] if isinstance(test["jws"], str) else json.dumps(test["jws"])
            try:
                verify_signature(token, given.get("keys", [given]))
            except (BadSignatureError, UnknownKidError) as error:
                yield test, "refused", str(error)
            else:
                yield test, "accepted", ""


def main() -> None:
    """Run all files of a folder."""
    parser = argparse.ArgumentParser(prog="python -m bench.jose_vectors", description=__doc__)
    parser.add_argument("folder", type=Path, help="testvectors_v1 of a clone of Project Wycheproof")
    folder = parser.parse_args().folder
    rows, differ = [], []
    for name in FILES:
        found = list(outcomes(folder / f"{name}_test.json"))
        counts = Counter((test["result"], answer) for test, answer, _ in found)
        rows.append([name, *(counts[result, answer] for result in ("valid", "invalid") for answer in COLUMNS)])
        expected = {"valid": "accepted", "invalid": "refused"}
        differ += [(name, test["tcId"], *rest) for test, *rest in found if expected[test["result"]] != rest[0]]
    print(table(["file", *(f"{result}, {answer}" for result in ("valid", "invalid") for answer in COLUMNS)], rows))
    print(*(f"- {name} {number}: {answer} {why}" for name, number, answer, why in differ), sep="\n")


if __name__ == "__main__":
    main()
