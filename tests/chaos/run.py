"""One run: a cluster under load, a nemesis over it, and afterwards the evidence."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from magi.domain.clock import milliseconds
from magi.domain.voting_request import Adjudicated, Received, RequestEvent
from magi.eventstore.history import Recorded
from tests.chaos.blows import Struck, strike_all
from tests.chaos.checker import check
from tests.chaos.clients import Asked, Initiator, Request
from tests.chaos.cluster import BLOWS, EVERYTHING, FIRST, Cluster, running
from tests.chaos.content import DATA, GHOST, requests
from tests.chaos.echo import Echo
from tests.chaos.evidence import gather, log_of, verified
from tests.chaos.nemesis import BEAT, Strike, schedule
from tests.chaos.sometimes import ROUND, ROUNDS, Sometimes, happened, round_for
from tests.voters.judges import expected_vote
from tests.waiting import until_none

INITIATORS = 3
RATE = 12
"""Requests a second, of all Initiators together."""
ECHO = 0.05
"""The share of submissions and ballots that are said twice."""
BACKLOG = 100
"""Requests of one Initiator without a verdict, at which it asks nothing more for now: a machine that can't keep up is
not to be proven one."""
PATIENCE = 100.0
"""Seconds in which something has to come to its end after the last blow, as long as anything waits. Ten pass until
another instance has a task that a killed voter had, six until another orchestrator has a partition; a busy machine
needs forty to start a part."""
WORDS = (
    "append_conflict",
    "item_left",
    "lost_ack",
    "part_ready",
    "ballot_refused",
    "nats_reconnected",
    "submission_not_stored",
    "task_left",
    "projection_waits",
)
"""What is counted in the parts' logs."""


class Report(Struct):
    """What happened, for people."""

    seed: int
    content: str = f"real: {DATA.name}" if DATA.exists() else f"made up: {DATA.name} is not beside the checkout"
    requests: int = 0
    events: int = 0
    messages: int = 0
    """Of the log, which hold them."""
    blows: dict[str, int] = {}
    repeated: int = 0
    """Messages to the inbox that were said twice."""
    sometimes: Sometimes = Sometimes()
    rounds: int = 0
    """That were added for what had not happened."""
    connections: int = 0
    sent_again: int = 0
    seconds: dict[str, float] = {}
    """How long the phases took."""
    latency: dict[str, float] = {}
    """Seconds from the first sending of a request to its verdict."""
    stood_still: float = 0.0
    """The longest time in seconds without an event of a request that was open when an orchestrator was killed."""
    logged: dict[str, int] = {}

    def __str__(self) -> str:
        return msgspec.json.format(msgspec.json.encode(self), indent=1).decode()


class Result(Struct):
    report: Report
    problems: list[str]


async def run(path: Path, seed: int, seconds: float) -> Result:
    """A load and a nemesis for `seconds` and for as long as the run is void; then everything comes to its end."""
    report = Report(seed)
    clock = Clock()
    async with running(path) as cluster:
        clock.lap("start")
        struck = Struck()
        async with talking(cluster, [f"initiator-{n}" for n in range(INITIATORS)]) as initiators:
            asked = [one for initiator in initiators for one in initiator.asked.values()]
            echo = Echo(cluster.bus, seed, ECHO)
            await echo.start()
            await load(cluster, initiators, seed, seconds, RATE, schedule(seed, seconds, BLOWS, len(FIRST)), struck)
            clock.lap("load")
            while True:
                echo.stop()
                await all_decided(initiators, PATIENCE)
                asked = [one for initiator in initiators for one in initiator.asked.values()]
                report.sometimes = happened(cluster, asked, await log_of(cluster))
                if not report.sometimes.missing or report.rounds == ROUNDS:
                    break
                report.rounds += 1
                more = round_for(report.sometimes.missing, seed + report.rounds)
                await load(cluster, initiators, seed + report.rounds, ROUND, RATE, more, struck)
            clock.lap("drain")
            evidence = await gather(cluster, asked)
        problems = [problem for initiator in initiators for problem in initiator.problems]
        problems += check(evidence, expected_vote, GHOST)
        problems += await verified(cluster)
        clock.lap("check")
    clock.lap("stop")
    report.requests, report.events = len(asked), len(evidence.log)
    report.messages = evidence.log[-1].sequence if evidence.log else 0
    report.blows = dict(sorted(struck.count.items()))
    report.repeated = echo.repeated
    report.connections = sum(initiator.connections for initiator in initiators)
    report.sent_again = sum(initiator.sent_again for initiator in initiators)
    report.seconds = clock.laps
    report.latency = _latency(asked)
    report.stood_still = _stood_still(evidence.log, struck.kills)
    said = cluster.said()
    report.logged = {word: said.count(f'"{word}"') for word in WORDS}
    return Result(report, problems)


class Clock:
    """Says how long each phase took."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._since = time.monotonic()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.laps[name] = round(now - self._since, 1)
        self._since = now


@asynccontextmanager
async def talking(cluster: Cluster, names: Sequence[str]) -> AsyncIterator[list[Initiator]]:
    """Initiators of these names, connected for as long."""
    initiators = [Initiator(name, await cluster.initiator(name), lambda: cluster.url) for name in names]
    tasks = [asyncio.create_task(initiator.run()) for initiator in initiators]
    try:
        yield initiators
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def load(
    cluster: Cluster,
    initiators: Sequence[Initiator],
    seed: int,
    seconds: float,
    rate: float,
    strikes: Sequence[Strike],
    struck: Struck,
) -> None:
    """`rate` requests a second for `seconds`, and the blows meanwhile; returns when what they did is undone."""
    count = int(rate * seconds / len(initiators))
    async with asyncio.TaskGroup() as group:
        group.create_task(strike_all(cluster, strikes, struck))
        for initiator in initiators:
            asked = requests(seed, count, f"{initiator.name}")
            again = len(initiator.asked)
            if again:  # another round: other requests
                asked = [msgspec.structs.replace(one, request_id=f"{one.request_id} + {again}") for one in asked]
            group.create_task(_ask(initiator, asked, seconds))


async def _ask(initiator: Initiator, asked: Sequence[Request], seconds: float) -> None:
    """Ask in bursts, one with each beat."""
    begun = time.monotonic()
    beats = int(seconds / BEAT)
    for beat in range(beats):
        await asyncio.sleep(max(0.0, begun + BEAT * beat - time.monotonic()))
        if initiator.waiting >= BACKLOG:
            continue
        for request in asked[len(asked) * beat // beats : len(asked) * (beat + 1) // beats]:
            initiator.ask(request)


async def all_decided(initiators: Sequence[Initiator], within: float) -> None:
    """Wait until nobody waits. What is missing when nothing was decided for `within` seconds is for the checker to
    say."""

    async def waiting() -> int:
        return sum(initiator.waiting for initiator in initiators)

    with suppress(AssertionError):
        await until_none(waiting, "requests without a verdict", within)


def _latency(asked: Sequence[Asked]) -> dict[str, float]:
    took = sorted(one.took for one in asked if one.final and GHOST not in one.request.voter_list)
    if not took:
        return {}
    return {str(q): round(took[min(int(len(took) * q), len(took) - 1)], 3) for q in (0.5, 0.9, 0.99, 1.0)}


def _stood_still(log: Sequence[Recorded[RequestEvent]], kills: Sequence[tuple[float, str]]) -> float:
    at_orchestrators = [at for at, target in kills if target.startswith(("orchestrator", EVERYTHING))]
    longest = 0.0
    last: dict[str, float] = {}
    for recorded in log:
        event = recorded.event
        at = milliseconds(event.at) / 1000
        before = last.get(event.originator_id)
        deadline = isinstance(event, Adjudicated) and event.decided_by == "deadline"
        waits = not isinstance(event, Received) and before and not deadline
        if before and waits and any(before < kill < at for kill in at_orchestrators):
            longest = max(longest, at - before)
        last[event.originator_id] = at
    return round(longest, 3)
