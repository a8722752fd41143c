"""`python -m bench [NAME]`: measure one thing or all of them, print markdown, end; in a few minutes."""

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping

from bench.approval import measure_approval
from bench.assessment import measure_assessment
from bench.codec import measure_codec
from bench.decide import measure_decide
from bench.events import measure_events
from bench.executors import measure_executors
from bench.figures import machine
from bench.permits import measure_permits
from bench.policies import measure_policies
from bench.signing import measure_signing
from bench.stack import Bench, running_bench
from bench.throughput import measure_throughput

_LONGEST_SECONDS = 900.0
_BENCHMARKS: Mapping[str, Callable[[Bench], Awaitable[str]]] = {
    "events": measure_events,
    "throughput": measure_throughput,
    "decide": measure_decide,
    "signing": measure_signing,
    "codec": measure_codec,
    "executors": measure_executors,
}
# Rules alone: no server is started for these.
_PURE: Mapping[str, Callable[[], str]] = {
    "assessment": measure_assessment,
    "policies": measure_policies,
    "approval": measure_approval,
    "permits": measure_permits,
}


async def main() -> None:
    """Run the benchmarks that were asked for, each on servers of its own, within fifteen minutes."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("only", nargs="?", choices=[*_BENCHMARKS, *_PURE], help="which one (default: all of them)")
    only = parser.parse_args().only
    print(f"{machine()}\n")
    async with asyncio.timeout(_LONGEST_SECONDS):
        for name in [only] if only else [*_BENCHMARKS, *_PURE]:
            if name in _PURE:
                print(f"## {name}\n\n{_PURE[name]()}\n", flush=True)
                continue
            async with running_bench() as bench:
                print(f"## {name}\n\n{await _BENCHMARKS[name](bench)}\n", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
    # The SDK's runtime sometimes crashes an interpreter that ends normally.
    sys.stdout.flush()
    os._exit(0)
