"""`just simulate`: ten thousand seeds, or one of them to read."""

import argparse
import sys
import time

from tests.simulation.many import Tally, simulate_all
from tests.simulation.run import simulate


def main() -> int:
    parser = argparse.ArgumentParser(prog="simulate", description="Run MAGI in virtual time under faults.")
    parser.add_argument("--seeds", type=int, default=1000, help="how many (default: 1000)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (default: 0)")
    parser.add_argument("--workers", type=int, default=0, help="processes (default: one a core)")
    parser.add_argument("--seed", type=int, help="run this one alone, and print all that happens in it")
    options = parser.parse_args()
    if options.seed is not None:
        return _one(options.seed)
    return _many(range(options.first, options.first + max(1, options.seeds)), options.workers)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _one(seed: int) -> int:
    outcome = simulate(seed, readable=True)
    for line in outcome.lines:
        _say(line)
    _say(f"seed {seed}: {outcome.seconds:.1f} virtual seconds, digest {outcome.digest}")
    for problem in outcome.problems:
        _say(f"PROBLEM {problem}")
    return 1 if outcome.problems else 0


def _many(seeds: range, workers: int) -> int:
    found, begun = Tally(), time.monotonic()
    for outcome in simulate_all(seeds, workers):
        found.add(outcome)
        if outcome.problems:
            _say(f"seed {outcome.seed} fails: {outcome.problems[0]}")
    took = time.monotonic() - begun
    _say(f"{found.seeds} seeds, {len(found.failed)} failed, {found.seeds / took:.1f} a second")
    _say(f"{found.seconds / 3600:.1f} virtual hours; what happened, in how many of the seeds:")
    for name, count in sorted(found.seen.items(), key=lambda one: (-one[1], one[0])):
        _say(f"{count:8} {name.removeprefix('log ')}")
    for name in found.never:
        _say(f"       0 {name}: it never happened")
    return 1 if found.failed else 0


if __name__ == "__main__":
    sys.exit(main())
