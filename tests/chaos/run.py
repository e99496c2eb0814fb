"""One run: a cluster under load, a nemesis over it, and afterwards the evidence."""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from magi.domain.clock import milliseconds
from magi.domain.ids import VoterId
from magi.domain.messages import Task, decode_inbox, decode_task
from magi.domain.voting_request import Adjudicated, Received, RequestEvent
from magi.eventstore import subjects
from magi.eventstore.history import Recorded
from magi.eventstore.patience import patiently
from tests.chaos.checker import Evidence
from tests.chaos.clients import Initiator, Request
from tests.chaos.cluster import EVERYTHING, GHOST, TARGETS, VOTERS, Cluster, running
from tests.chaos.nemesis import BEAT, Strike, schedule
from tests.waiting import until

INITIATORS = 3
STRATEGIES = ("minority_rule", "absolute_majority", "unanimous", "veto", {"name": "threshold", "ratio": 0.5})
PATIENCE = 45.0
"""Seconds after the last blow in which everything has to come to its end. Ten pass until another instance has a task
that a killed voter had, six until another orchestrator has a partition."""
WORDS = (
    "append_conflict",
    "item_left",
    "lost_ack",
    "request_adjudicated",
    "part_ready",
    "ballot_refused",
    "nats_reconnected",
    "submission_not_stored",
    "task_left",
)
"""What is counted in the parts' logs."""


class Report(Struct):
    """What happened, for people."""

    seed: int
    requests: int = 0
    kills: Counter[str] = msgspec.field(default_factory=Counter)
    pauses: Counter[str] = msgspec.field(default_factory=Counter)
    connections: int = 0
    resumed: int = 0
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
    evidence: Evidence
    problems: list[str]
    """What the Initiators were told that they must not be."""


def requests(seed: int, count: int, name: str) -> list[Request]:
    """What an Initiator asks: mostly of everybody and with time enough, a tenth of a panel with somebody absent."""
    draw = random.Random(f"{seed} {name}")
    found = []
    for number in range(count):
        absent = draw.random() < 0.1
        panel = (*draw.sample(VOTERS, 2), GHOST) if absent else tuple(draw.sample(VOTERS, draw.randint(1, 3)))
        found.append(
            Request(
                request_id=f"{name} № {number}",
                user_query=f"question {draw.random()}",
                agent_answer=f"answer {draw.random()} " + "x" * draw.choice([0, 0, 100, 20_000]),
                voter_list=panel,
                strategy=draw.choice(STRATEGIES),
                decide="early" if not absent and draw.random() < 0.2 else "all",
                timeout_ms=draw.randint(300, 5000) if absent else 90_000,
            )
        )
    return found


async def run(path: Path, seed: int, seconds: float, count: int, kills: int) -> Result:
    """`count` requests spread over `seconds`, `kills` kills meanwhile; then everything comes to its end."""
    report = Report(seed, count)
    begun = time.monotonic()
    async with running(path) as cluster:
        ready = time.monotonic()
        initiators = [
            Initiator(name, await cluster.initiator(name), lambda: cluster.url)
            for name in (f"initiator-{n}" for n in range(INITIATORS))
        ]
        talking = [asyncio.create_task(initiator.run()) for initiator in initiators]
        struck: list[tuple[float, str]] = []
        async with asyncio.TaskGroup() as group:
            group.create_task(_strike(cluster, schedule(seed, seconds, TARGETS, kills), report, struck))
            for initiator in initiators:
                group.create_task(_ask(initiator, requests(seed, count // INITIATORS, initiator.name), seconds))
        over = time.monotonic()

        async def all_decided() -> bool:
            for task in talking:
                if task.done():
                    task.result()
            return all(initiator.waiting == 0 for initiator in initiators)

        with suppress(AssertionError):  # the checker says what is missing
            await until(all_decided, "all requests are decided", PATIENCE)
        decided = time.monotonic()
        tasks = await _tasks_left(cluster)
        for task in talking:
            task.cancel()
        await asyncio.gather(*talking, return_exceptions=True)
        log = [recorded async for recorded in cluster.log.read()]
        inbox = [decode_inbox(data) for data in await _messages(cluster, subjects.INBOX)]
        asked = [one for initiator in initiators for one in initiator.asked.values()]
        evidence = Evidence(asked, log, inbox, tasks)
        stopping = time.monotonic()
    report.connections = sum(initiator.connections for initiator in initiators)
    report.resumed = sum(initiator.resumed for initiator in initiators)
    report.sent_again = sum(initiator.sent_again for initiator in initiators)
    report.seconds = {
        "start": round(ready - begun, 1),
        "load": round(over - ready, 1),
        "drain": round(decided - over, 1),
        "stop": round(time.monotonic() - stopping, 1),
    }
    took = sorted(one.took for one in asked if one.final and GHOST not in one.request.voter_list)
    if took:
        report.latency = {q: round(took[int(len(took) * float(q))], 3) for q in ("0.5", "0.9", "0.99")}
        report.latency["1.0"] = round(took[-1], 3)
    report.stood_still = _stood_still(
        log, [at for at, target in struck if target.startswith(("orchestrator", EVERYTHING))]
    )
    said = cluster.said()
    report.logged = {word: said.count(f'"{word}"') for word in WORDS}
    return Result(report, evidence, [problem for initiator in initiators for problem in initiator.problems])


async def _ask(initiator: Initiator, asked: Sequence[Request], seconds: float) -> None:
    """Ask in bursts, one with each beat."""
    begun = time.monotonic()
    beats = int(seconds / BEAT)
    for beat in range(beats):
        await asyncio.sleep(max(0.0, begun + BEAT * beat - time.monotonic()))
        for request in asked[len(asked) * beat // beats : len(asked) * (beat + 1) // beats]:
            initiator.ask(request)


async def _strike(cluster: Cluster, strikes: Sequence[Strike], report: Report, struck: list[tuple[float, str]]) -> None:
    """Every blow at its time. One that finds no process, since it is only being started, waits for it."""
    begun = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for strike in strikes:
            await asyncio.sleep(max(0.0, begun + strike.at - time.monotonic()))
            if strike.blow == "pause":
                group.create_task(_pause(cluster, strike, report))
                continue

            async def hit(target: str = strike.target) -> bool:
                return cluster.signal(target, signal.SIGKILL)

            await until(hit, f"{strike.target} is killed", 20)
            struck.append((time.time(), strike.target))
            report.kills[strike.target] += 1


async def _pause(cluster: Cluster, strike: Strike, report: Report) -> None:
    """To everybody else it is dead; then it goes on with what it remembers."""
    if cluster.signal(strike.target, signal.SIGSTOP):
        report.pauses[strike.target] += 1
        await asyncio.sleep(strike.seconds)
        cluster.signal(strike.target, signal.SIGCONT)


async def _tasks_left(cluster: Cluster) -> list[Task]:
    """What voters have still to judge, once that is nothing or 12 s are over: a killed instance's come again after 10.

    A task that no consumer has any more doesn't count: a killed nats-server brought it back, and its TTL ends it.
    """

    async def none() -> bool:
        for voter in VOTERS:
            name = f"{subjects.TASKS}.{subjects.task_consumer(VoterId(voter))}"
            state = msgspec.json.decode(await cluster.bus.request(f"$JS.API.CONSUMER.INFO.{name}"), type=_Consumer)
            if state.num_pending or state.num_ack_pending:
                return False
        return True

    try:
        await until(none, "no task is left", 12)
        return []
    except AssertionError:
        tasks = map(decode_task, await _messages(cluster, subjects.TASKS))
        return [task for task in tasks if not _is_of(task, GHOST)]


def _is_of(task: Task, voter: str) -> bool:
    return task.task_id.endswith(f".{voter}")


class _Consumer(Struct):
    num_pending: int
    num_ack_pending: int


class _Stored(Struct):
    data: bytes
    seq: int


class _Get(Struct):
    message: _Stored | None = None


async def _messages(cluster: Cluster, stream: str) -> list[bytes]:
    """All that a work queue holds."""
    found: list[bytes] = []
    start = 1
    while True:
        query = msgspec.json.encode({"seq": start, "next_by_subj": ">"})
        answer = await patiently(
            lambda query=query: cluster.bus.request(f"$JS.API.STREAM.MSG.GET.{stream}", query),  # type: ignore[misc]
            stream,
        )
        message = msgspec.json.decode(answer, type=_Get).message
        if message is None:
            return found
        found.append(message.data)
        start = message.seq + 1


def _stood_still(log: Sequence[Recorded[RequestEvent]], kills: Sequence[float]) -> float:
    longest = 0.0
    last: dict[str, float] = {}
    for recorded in log:
        event = recorded.event
        at = milliseconds(event.at) / 1000
        before = last.get(event.originator_id)
        deadline = isinstance(event, Adjudicated) and event.decided_by == "deadline"
        if not isinstance(event, Received) and before and not deadline and any(before < kill < at for kill in kills):
            longest = max(longest, at - before)
        last[event.originator_id] = at
    return round(longest, 3)
