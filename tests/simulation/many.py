"""Many seeds at once: what was wrong with which, and in how many of them each thing happened that a run is for."""

import multiprocessing
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

from msgspec import Struct

from tests.simulation.run import Outcome, simulate

SOMETIMES = (
    "kill",
    "doom",
    "pause",
    "cut",
    "drop",
    "stall",
    "slow",
    "restart",
    "behind",
    "stale read",
    "lost ack",
    "lost delivery",
    "lost core",
    "lost said",
    "killed",
    "redelivery",
    "duplicate",
    "refused 10071",
    "resume",
    "ballots together",
    "log lost_ack",
    "log append_conflict",
    "log delivery_lost",
    "log partitions",
    "log nats_reconnected",
    "log pull_unheard",
    "log item_left",
    "log ballot_refused",
    "log inbox_consumer_ensured",
)
"""What must happen in some seeds, or they have shown nothing: every blow, and what MAGI has an answer to."""


class Tally(Struct):
    seeds: int = 0
    seconds: float = 0.0
    """Virtual ones."""
    failed: dict[int, list[str]] = {}
    seen: Counter[str] = Counter()
    """In how many seeds."""

    def add(self, outcome: Outcome) -> None:
        self.seeds += 1
        self.seconds += outcome.seconds
        self.seen.update(name for name, count in outcome.seen.items() if count)
        if outcome.problems:
            self.failed[outcome.seed] = outcome.problems

    @property
    def never(self) -> list[str]:
        return [name for name in SOMETIMES if not self.seen[name]]


def simulate_all(seeds: Sequence[int], workers: int = 0) -> Iterator[Outcome]:
    """The outcomes, in the order of the seeds; by as many processes as there are cores."""
    workers = min(workers or os.cpu_count() or 1, len(seeds))
    # Spawned: a fork would share what this process has in memory, and its threads' locks.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(simulate, seeds, chunksize=5)


def tally(outcomes: Iterable[Outcome]) -> Tally:
    found = Tally()
    for outcome in outcomes:
        found.add(outcome)
    return found
