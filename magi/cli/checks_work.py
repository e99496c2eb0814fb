"""What `magi doctor` looks at in the work under way: the inbox and its owners, orchestrators, voters.

Each `judge_…` is pure; each `check_…` looks and has it judged.
"""

import asyncio
from collections.abc import Sequence

import msgspec
from msgspec import Struct, field

from magi.cli.checks_expiry import judge_tokens
from magi.cli.checks_versions import check_versions
from magi.cli.context import Context
from magi.cli.directory import directory_of, read_directory
from magi.cli.directory_report import VoterRow, voter_rows
from magi.cli.findings import Finding, error, ok, warning
from magi.cli.task_queues import task_queues
from magi.domain.clock import milliseconds
from magi.domain.errors import Refused
from magi.domain.panel import Snapshot, choose_panel
from magi.eventstore import subjects
from magi.eventstore.bus import Bus
from magi.eventstore.direct import DirectReader
from magi.eventstore.presence import Instance, alive, now_ms

STALE = 10_000
"""Milliseconds that a message waits untaken before it is one to look at: a dead orchestrator's partition is taken over
within 7 s."""
FULL = 0.8
"""Of the inbox's limit."""
LOOK_WITHIN = 1.0
"""Seconds: here a directory that doesn't answer is an answer."""
TASKS_STALE = 1_000
"""Tasks untaken: more than a voter with the default capacity takes in a minute at half a second each."""


class Partition(Struct, frozen=True):
    """What a partition's consumer says."""

    name: str
    untaken: int
    """Messages that no orchestrator has had yet."""
    put_off: int
    """Messages that one has had: open requests that wait for their votes, and what is in hand."""
    read: bool
    """Whether an orchestrator reads it."""
    oldest_ms: int = 0
    """For how long the oldest untaken message has waited."""


class _Pin(Struct, frozen=True):
    pinned_client_id: str = ""


class _Delivered(Struct, frozen=True):
    stream_seq: int = 0


class _Config(Struct, frozen=True):
    filter_subject: str = ""


class _Consumer(Struct, frozen=True):
    name: str
    num_pending: int = 0
    num_ack_pending: int = 0
    num_waiting: int = 0
    delivered: _Delivered = _Delivered()
    config: _Config = _Config()
    priority_groups: list[_Pin] = field(default_factory=list)


class _Consumers(Struct, frozen=True):
    consumers: list[_Consumer] = field(default_factory=list)


class _Stored(Struct, frozen=True):
    time: str = ""


class _Get(Struct, frozen=True):
    message: _Stored | None = None


class _StreamConfig(Struct, frozen=True):
    max_msgs: int = -1


class _State(Struct, frozen=True):
    messages: int = 0


class _Stream(Struct, frozen=True):
    config: _StreamConfig = _StreamConfig()
    state: _State = _State()


async def look_at_partitions(bus: Bus) -> list[Partition]:
    """Every partition of the inbox. Raises BusError."""
    answer = await bus.request(f"$JS.API.CONSUMER.LIST.{subjects.INBOX}", b"{}")
    found = msgspec.json.decode(answer, type=_Consumers).consumers
    return sorted(await asyncio.gather(*(_partition(bus, consumer) for consumer in found)), key=lambda p: p.name)


async def _partition(bus: Bus, consumer: _Consumer) -> Partition:
    # An owner whose pull request has just ended isn't waiting for a moment; the pin tells, once it had a message.
    read = consumer.num_waiting > 0 or any(pin.pinned_client_id for pin in consumer.priority_groups)
    oldest = 0
    if consumer.num_pending:
        query = {"seq": consumer.delivered.stream_seq + 1, "next_by_subj": consumer.config.filter_subject}
        body = await bus.request(f"$JS.API.STREAM.MSG.GET.{subjects.INBOX}", msgspec.json.encode(query))
        stored = msgspec.json.decode(body, type=_Get).message
        oldest = max(0, now_ms() - milliseconds(stored.time)) if stored and stored.time else 0
    return Partition(consumer.name, consumer.num_pending, consumer.num_ack_pending, read, oldest)


async def check_inbox(bus: Bus) -> list[Finding]:
    """What waits in the inbox, and whether somebody reads it. Raises BusError."""
    stream = msgspec.json.decode(await bus.request(f"$JS.API.STREAM.INFO.{subjects.INBOX}"), type=_Stream)
    partitions = await look_at_partitions(bus)
    if not all(partition.read for partition in partitions):
        await asyncio.sleep(0.3)  # see _partition
        again = {p.name: p for p in await look_at_partitions(bus)}
        partitions = [p if p.read else again.get(p.name, p) for p in partitions]
    return [judge_inbox(partitions, stream.state.messages, stream.config.max_msgs), judge_partitions(partitions)]


def judge_inbox(partitions: Sequence[Partition], messages: int, limit: int) -> Finding:
    untaken = sum(p.untaken for p in partitions)
    oldest = max((p.oldest_ms for p in partitions), default=0)
    found = f"{messages} messages: {sum(p.put_off for p in partitions)} open, {untaken} not taken yet"
    if untaken:
        found += f", the oldest for {oldest / 1000:.1f} s"
    if 0 < limit * FULL <= messages:
        return error(
            "inbox", f"{found}; it takes {limit}", "start more orchestrators; a full inbox refuses submissions"
        )
    if untaken and oldest > STALE:
        return warning("inbox", found, "is an orchestrator running? If it is busy, start another: `magi orchestrator`")
    return ok("inbox", found)


def judge_partitions(partitions: Sequence[Partition]) -> Finding:
    if not partitions:
        return error("partitions", "none has a consumer", "an orchestrator makes them: `magi orchestrator`")
    unread = [p.name.removeprefix("inbox-") for p in partitions if not p.read]
    if unread:
        found = f"nobody reads {', '.join(sorted(unread, key=int))} of {len(partitions)}"
        return error(
            "partitions", found, "an orchestrator takes them within 7 s; if none is running: `magi orchestrator`"
        )
    return ok("partitions", f"all {len(partitions)} are read")


async def check_parts(ctx: Context, bus: Bus) -> list[Finding]:
    """Which instances are alive and of which version, whether a panel can be formed, whose tokens end.

    Raises BusError, StoreError.
    """
    section = ctx.settings.orchestrator
    group = section.default_group
    presence = DirectReader(bus, subjects.PRESENCE)
    await presence.start()
    directory = await read_directory(await directory_of(bus, LOOK_WITHIN))
    queues = await task_queues(bus, directory.voters)
    rows = voter_rows(directory, await alive(presence, "voter.*"), queues)
    panel, *voters = judge_voters(rows, group)
    if section.default_panel:
        panel = judge_default_panel(directory.snapshot({}, 0, group, section.default_panel), rows)
    orchestrators = await alive(presence, "orchestrator")
    versions = await check_versions(ctx, orchestrators)
    tokens = judge_tokens(directory, now_ms())
    return [judge_orchestrators(orchestrators), versions, panel, *voters, *tokens]


def judge_orchestrators(instances: Sequence[Instance]) -> Finding:
    if not instances:
        return error("orchestrators", "none is alive", "start one: `magi orchestrator`, or `magi serve`")
    return ok("orchestrators", f"{len(instances)} alive")


def judge_voters(rows: Sequence[VoterRow], group: str) -> list[Finding]:
    """`group` is the one that panels are chosen from when nobody names one."""
    found = [_judge_voter(row) for row in rows if row.status == "active"]
    able = [row for row in rows if row.status == "active" and row.group == group]
    if not able:
        advice = "register one: `magi voters add`; until then requests have to name their voters"
        return [error("panel", f"no active voter in the group {group}", advice), *found]
    if not any(row.instances for row in able):
        advice = "start them: `magi voter`, or `magi serve` for the built-in ones; until then every request fails"
        return [error("panel", f"none of the {len(able)} active voters of the group {group} is alive", advice), *found]
    return [ok("panel", f"{len(able)} active voters in the group {group}"), *found]


def judge_default_panel(snapshot: Snapshot, rows: Sequence[VoterRow]) -> Finding:
    """Whether the template of requests that name nothing can be formed, of voters of which some instance is alive."""
    try:
        panel = choose_panel((), snapshot)
    except Refused as problem:
        return error("panel", problem.message, f"see `magi panels show {snapshot.default}`; define it, or add voters")
    running = {row.voter_id for row in rows if row.instances}
    members = f"{snapshot.default}: {', '.join(panel)}"
    if silent := [voter for voter in panel if voter not in running]:
        judge = error if len(silent) == len(panel) else warning
        return judge("panel", f"{members}; no instance of {', '.join(silent)} is alive", "start them: `magi voter`")
    return ok("panel", members)


def _judge_voter(row: VoterRow) -> Finding:
    check = f"voter {row.voter_id}"
    if row.waiting is None:
        return error(check, "has no consumer for its tasks", "an orchestrator makes it: is one running?")
    found = f"{row.instances} alive, capacity {row.capacity}, {row.waiting} tasks waiting"
    if not row.instances:
        return warning(check, found, f"start it, or suspend it: `magi voters suspend {row.voter_id}`")
    if row.waiting > TASKS_STALE:
        return warning(check, found, "start more instances of it, or give them more capacity")
    return ok(check, found)
