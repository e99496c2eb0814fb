"""What `magi doctor` looks at in the copies of the streams: how many there are, where, and whether all follow.

Each `judge_…` is pure; each `check_…` looks and has it judged.
"""

import asyncio
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from magi.cli.findings import Finding, error, ok, warning
from magi.eventstore import subjects
from magi.eventstore.bus import Bus

KEPT = (subjects.LOG, subjects.DIRECTORY, subjects.INBOX, subjects.TASKS)
"""The streams that must not be lost. The buckets are made again."""
ENOUGH = 3
"""Copies: one may be missing, and the others still agree."""
FAR_BEHIND = 1_000
"""Messages that a copy may lack for a moment, as when its server was started again."""


class Replica(Struct, frozen=True):
    """A copy besides the leader's."""

    name: str
    current: bool = True
    offline: bool = False
    lag: int = 0
    """Messages that it lacks."""


class Cluster(Struct, frozen=True):
    """Who holds a stream's copies. Without a name the server is alone."""

    name: str = ""
    leader: str = ""
    replicas: tuple[Replica, ...] = ()


class _Config(Struct, frozen=True):
    num_replicas: int = 1


class Placed(Struct, frozen=True):
    """A stream, as nats-server describes it."""

    cluster: Cluster = Cluster()
    config: _Config | None = None


async def check_copies(bus: Bus) -> list[Finding]:
    """The copies of each stream. Raises BusError."""
    answers = await asyncio.gather(*(bus.request(f"$JS.API.STREAM.INFO.{stream}") for stream in KEPT))
    placed = {stream: msgspec.json.decode(a, type=Placed) for stream, a in zip(KEPT, answers, strict=True)}
    return judge_copies({stream: found for stream, found in placed.items() if found.config})


def judge_copies(streams: Mapping[str, Placed]) -> list[Finding]:
    """By stream; those that are missing are told elsewhere."""
    if not streams:
        return []
    check = "copies"
    if not any(found.cluster.name for found in streams.values()):
        return [
            warning(
                check,
                "one nats-server with one copy of everything: when its disk dies, all requests are lost",
                "back it up, or run three (`magi nats servers`, docs/operations.md)",
            )
        ]
    findings = []
    copies = {stream: found.config.num_replicas if found.config else 1 for stream, found in streams.items()}
    few = {stream: number for stream, number in copies.items() if number < ENOUGH}
    if few:
        judge = error if min(few.values()) == 1 else warning
        means = "a server that is down stops them, and a disk that dies takes them along"
        if min(few.values()) > 1:
            means = "of two copies neither may be missing"
        found_few = f"{_listed(few)} in a cluster: {means}"
        findings.append(judge(check, found_few, "set nats.replicas = 3, then `magi streams apply`"))
    findings += [finding for stream, found in streams.items() if (finding := _judge_followers(stream, found))]
    least = min(copies.values())
    return findings or [ok(check, f"{least} of each stream, all in step; {_leaders(streams)}")]


def _judge_followers(stream: str, found: Placed) -> Finding | None:
    away = [replica.name for replica in found.cluster.replicas if replica.offline]
    if away:
        return warning(
            "copies",
            f"{stream}: {', '.join(away)} is offline; the other copies do all the work, and none more may fail",
            "start that nats-server again: it catches up by itself",
        )
    late = [f"{r.name} lacks {r.lag} messages" for r in found.cluster.replicas if not r.current or r.lag > FAR_BEHIND]
    if late:
        return warning("copies", f"{stream}: {', '.join(late)}", "wait, and look again: it catches up by itself")
    return None


def _listed(copies: Mapping[str, int]) -> str:
    return ", ".join(f"{stream} has {number} cop{'y' if number == 1 else 'ies'}" for stream, number in copies.items())


def _leaders(streams: Mapping[str, Placed]) -> str:
    names = sorted({found.cluster.leader for found in streams.values() if found.cluster.leader})
    return f"led by {', '.join(names)}" if names else "no leader is known"
