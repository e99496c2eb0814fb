"""Walks the table of docs/security.md: each identity can do what it says, and the server refuses it everything else."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from magi.eventstore.bus import Bus
from magi.eventstore.declarations import PRESENCE, load_declarations
from tests.eventstore.rights import OWNER, Attempts, World, identities, in_the_core
from tests.waiting import until

PAGE = Path(__file__).parents[2] / "docs" / "security.md"
EDGE_NAMES = ("gateway", "voters", "projector", "auditor", "voter alice")
_NEXT = b'{"batch":1,"no_wait":true}'
_INFO = b""
_FIRST = b'{"seq":1}'
_CONFIG = {d.name: json.dumps({"name": d.name, "subjects": ["nothing.of.ours"]}).encode() for d in load_declarations()}


def _consumer(stream: str, name: str = "", filtered: str = "") -> bytes:
    config = {"ack_policy": "explicit", "durable_name": name, "filter_subject": filtered, "mem_storage": True}
    return json.dumps({"stream_name": stream, "config": {k: v for k, v in config.items() if v}}).encode()


PUBLISH: dict[str, tuple[str, bytes]] = {
    "append to a request's events": ("magi.log.local.some", b"{}"),
    "write a voter's events to the directory": ("magi.directory.voter.some", b"{}"),
    "write an Initiator's events to the directory": ("magi.directory.initiator.some", b"{}"),
    "write a panel's events to the directory": ("magi.directory.panel.some", b"{}"),
    "submit": ("magi.inbox.0.submission.local", b"{}"),
    "vote as alice": ("magi.inbox.0.ballot.alice", b"{}"),
    "vote as bob": ("magi.inbox.0.ballot.bob", b"{}"),
    "give alice a task": ("magi.tasks.alice", b"{}"),
    "send a notice": ("magi.notices.initiator.local", b"{}"),
    "fake a live event": ("magi.live.local.some", b"{}"),
    "be present as an orchestrator": ("$KV.magi_presence.orchestrator.some", b"{}"),
    "be present as alice": ("$KV.magi_presence.voter.alice.some", b"{}"),
    "be present as bob": ("$KV.magi_presence.voter.bob.some", b"{}"),
    "note that a token is used": ("$KV.magi_usage.token.some", b"{}"),
    "see when tokens were used": ("$JS.API.DIRECT.GET.KV_magi_usage", _FIRST),
    "say what is used of a gateway": ("magi.quotas.some", b"{}"),
    "see who is present": ("$JS.API.DIRECT.GET.KV_magi_presence", _FIRST),
    "load a request from the log": ("$JS.API.DIRECT.GET.MAGI_LOG", _FIRST),
    "get a message of the log": ("$JS.API.STREAM.MSG.GET.MAGI_LOG", _FIRST),
    "make a consumer of the log": ("$JS.API.CONSUMER.CREATE.MAGI_LOG", _consumer("MAGI_LOG")),
    "follow the log": ("$JS.API.CONSUMER.MSG.NEXT.MAGI_LOG.follower", _NEXT),
    "load the directory": ("$JS.API.DIRECT.GET.MAGI_DIRECTORY", _FIRST),
    "get a message of the directory": ("$JS.API.STREAM.MSG.GET.MAGI_DIRECTORY", _FIRST),
    "make a consumer of the directory": ("$JS.API.CONSUMER.CREATE.MAGI_DIRECTORY", _consumer("MAGI_DIRECTORY")),
    "follow the directory": ("$JS.API.CONSUMER.MSG.NEXT.MAGI_DIRECTORY.follower", _NEXT),
    "make a consumer of the inbox": (
        "$JS.API.CONSUMER.DURABLE.CREATE.MAGI_INBOX.inbox-0",
        _consumer("MAGI_INBOX", "inbox-0", "magi.inbox.0.>"),
    ),
    "take from the inbox": ("$JS.API.CONSUMER.MSG.NEXT.MAGI_INBOX.inbox-0", _NEXT),
    "acknowledge in the inbox": ("$JS.ACK.MAGI_INBOX.inbox-0.1.1.1.1.0", b"+WPI"),
    "get a message of the inbox": ("$JS.API.STREAM.MSG.GET.MAGI_INBOX", _FIRST),
    "list the inbox's consumers": ("$JS.API.CONSUMER.LIST.MAGI_INBOX", _INFO),
    "let go of a partition": ("$JS.API.CONSUMER.UNPIN.MAGI_INBOX.inbox-0", b'{"group":"orchestrator"}'),
    "make alice's task consumer": (
        "$JS.API.CONSUMER.DURABLE.CREATE.MAGI_TASKS.voter-alice",
        _consumer("MAGI_TASKS", "voter-alice", "magi.tasks.alice"),
    ),
    "ask after alice's task consumer": ("$JS.API.CONSUMER.INFO.MAGI_TASKS.voter-alice", _INFO),
    "take alice's tasks": ("$JS.API.CONSUMER.MSG.NEXT.MAGI_TASKS.voter-alice", _NEXT),
    "acknowledge alice's tasks": ("$JS.ACK.MAGI_TASKS.voter-alice.1.1.1.1.0", b"+WPI"),
    "take bob's tasks": ("$JS.API.CONSUMER.MSG.NEXT.MAGI_TASKS.voter-bob", _NEXT),
    "acknowledge bob's tasks": ("$JS.ACK.MAGI_TASKS.voter-bob.1.1.1.1.0", b"+WPI"),
    "get a task past its consumer": ("$JS.API.STREAM.MSG.GET.MAGI_TASKS", _FIRST),
    "remove alice's task consumer": ("$JS.API.CONSUMER.DELETE.MAGI_TASKS.voter-nobody", _INFO),
    "remove an inbox consumer": ("$JS.API.CONSUMER.DELETE.MAGI_INBOX.nobody", _INFO),
    "compare the streams with what is declared": ("$JS.API.STREAM.INFO.MAGI_LOG", _INFO),
    "make the presence bucket": (f"$JS.API.STREAM.CREATE.{PRESENCE}", _CONFIG[PRESENCE]),
    "create a stream of ours": ("$JS.API.STREAM.CREATE.MAGI_LOG", _CONFIG["MAGI_LOG"]),
    "update a stream of ours": ("$JS.API.STREAM.UPDATE.MAGI_LOG", b"{}"),
    "create another stream": ("$JS.API.STREAM.CREATE.OTHER", b'{"name":"OTHER","subjects":["other"]}'),
    "delete the log": ("$JS.API.STREAM.DELETE.MAGI_LOG", _INFO),
    "purge the log": ("$JS.API.STREAM.PURGE.MAGI_LOG", _INFO),
    "delete a message of the log": ("$JS.API.STREAM.MSG.DELETE.MAGI_LOG", _FIRST),
    "take a snapshot of the log": ("$JS.API.STREAM.SNAPSHOT.MAGI_LOG", b'{"deliver_subject":"snapshot"}'),
    "restore the log": ("$JS.API.STREAM.RESTORE.MAGI_LOG", b"{}"),
    "list the streams": ("$JS.API.STREAM.LIST", _INFO),
    "ask what the account stores": ("$JS.API.INFO", _INFO),
    "speak to the system account": ("$SYS.REQ.SERVER.PING", _INFO),
    "answer somebody else's question": ("_INBOX_GATEWAY.some.1", b"{}"),
}
"""What is published for each row of the table."""

SILENT = frozenset(
    {
        "send a notice",
        "say what is used of a gateway",
        "acknowledge in the inbox",
        "acknowledge alice's tasks",
        "acknowledge bob's tasks",
    }
)
"""Nobody answers these."""

SUBSCRIBE = {
    "hear live events": "magi.live.>",
    "hear notices to Initiators": "magi.notices.initiator.*",
    "hear notices to alice": "magi.notices.voter.alice",
    "hear notices to bob": "magi.notices.voter.bob",
    "hear what is used of gateways": "magi.quotas.*",
    "listen in on appends": "magi.log.>",
    "listen in on changes of the directory": "magi.directory.>",
    "listen in on the inbox": "magi.inbox.>",
    "listen in on tasks": "magi.tasks.>",
    "listen in on everything": ">",
    "hear the gateway's answers": "_INBOX_GATEWAY.>",
    "hear anybody's answers": "_INBOX.>",
    "hear JetStream's advisories": "$JS.EVENT.>",
}


def _table() -> dict[str, dict[str, bool]]:
    """The matrix of docs/security.md: may an identity do what the row says?"""
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    begin = next(number for number, row in enumerate(rows) if row.startswith("| may "))
    columns = [cell.strip() for cell in rows[begin].strip("|").split("|")][1:]
    found = {}
    for row in rows[begin + 1 :]:
        label, *cells = (cell.strip() for cell in row.strip("|").split("|"))
        if len(cells) != len(columns):
            break
        found[label] = {column: cell == "yes" for column, cell in zip(columns, cells, strict=True)}
    return found


TABLE = _table()
NAMES = tuple(next(iter(TABLE.values())))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("rights"), identities())
    with made.server:
        asyncio.run(made.fill())
        yield made


def test_the_table_has_a_row_for_everything_that_is_tried_and_nothing_else() -> None:
    assert sorted(TABLE) == sorted([*PUBLISH, *SUBSCRIBE])
    assert set(NAMES) == {"operator", "orchestrator", "gateway", "voters", "projector", "auditor", "voter alice"}


@pytest.mark.parametrize("name", NAMES)
async def test_each_identity_can_do_what_it_must_and_is_refused_everything_else(world: World, name: str) -> None:
    bus = await world.connect(name)
    attempts = Attempts(bus)
    try:
        await attempts.start()
        for action, (subject, data) in PUBLISH.items():
            await attempts.publish(action, subject, data)
        for subject in SUBSCRIBE.values():
            await attempts.subscribe(subject)
        await attempts.settle()
        may = {action for action in TABLE if TABLE[action][name]}
        allowed = {a for a, (subject, _) in PUBLISH.items() if not attempts.refused("publish", subject)}
        allowed |= {a for a, subject in SUBSCRIBE.items() if not attempts.refused("subscription", subject)}
        assert allowed == may
        expected = may & set(PUBLISH) - SILENT

        async def all_answered() -> bool:
            return expected <= attempts.answered

        await until(all_answered, f"{name} gets answers to {expected - attempts.answered}", 30)
    finally:
        await bus.close()


async def _sizes(owner: Bus) -> dict[str, object]:
    """What each stream holds, by subject."""
    found = {}
    for declaration in load_declarations():
        answer = json.loads(await owner.request(f"$JS.API.STREAM.INFO.{declaration.name}", b'{"subjects_filter":">"}'))
        found[declaration.name] = (answer["state"]["messages"], answer["state"].get("subjects"))
    return found


_NEVER_WRITTEN = ("MAGI_LOG", "MAGI_DIRECTORY", "MAGI_TASKS")
TARGETS = ("magi.log.local.forged", "magi.directory.voter.forged", "magi.tasks.alice", "magi.inbox.0.ballot.bob")


async def _ask_for_answers_there(world: World, name: str, target: str) -> None:
    """Ask everything that the identity may ask, with `target` as where the answer is to go."""
    bus = await world.connect(name)
    try:
        for action, (subject, data) in PUBLISH.items():
            stores = subject.startswith(("magi.inbox.", "$KV."))
            if TABLE[action][name] and (
                subject.startswith("$JS.API.") or (stores and not target.startswith("magi.inbox."))
            ):
                await bus.publish(subject, data, reply=target)
        await bus.nc.flush(10)
    finally:
        await bus.close()


@pytest.mark.parametrize("name", EDGE_NAMES)
async def test_nobody_at_the_edge_has_answers_stored_where_it_may_not_write(world: World, name: str) -> None:
    owner = await world.connect(OWNER)
    try:
        before = await _sizes(owner)
        await _ask_for_answers_there(world, name, TARGETS[-1])
        await owner.nc.flush(10)
        assert await _sizes(owner) == before
        for target in TARGETS[:-1]:  # now also what has an acknowledgement, which may be stored itself
            await _ask_for_answers_there(world, name, target)
        await owner.nc.flush(10)
        after = await _sizes(owner)
        assert {s: after[s] for s in _NEVER_WRITTEN} == {s: before[s] for s in _NEVER_WRITTEN}
    finally:
        await owner.close()


async def test_in_the_account_of_the_streams_it_would_be(tmp_path: Path) -> None:
    """Why there are two accounts. When this fails, nats-server checks reply subjects, and one is enough."""
    world = World(tmp_path, in_the_core(identities(), ["gateway"]))
    with world.server:
        await world.fill()
        owner = await world.connect(OWNER)
        try:
            before = await _sizes(owner)
            await _ask_for_answers_there(world, "gateway", "magi.directory.voter.forged")

            async def forged() -> bool:
                return (await _sizes(owner))["MAGI_DIRECTORY"] != before["MAGI_DIRECTORY"]

            await until(forged, "the forgery is stored")
        finally:
            await owner.close()


@pytest.mark.parametrize("name", ["gateway", "voters", "projector", "auditor"])
async def test_no_consumer_delivers_into_a_stream(world: World, name: str) -> None:
    owner, bus = await world.connect(OWNER), await world.connect(name)
    stream, api = ("MAGI_TASKS", "CONSUMER.DURABLE.CREATE.MAGI_TASKS.pushing")
    if name in ("projector", "auditor"):
        stream, api = "MAGI_LOG", "CONSUMER.CREATE.MAGI_LOG"
    config: dict[str, object] = {"ack_policy": "none", "deliver_policy": "all", "deliver_subject": TARGETS[1]}
    if stream == "MAGI_TASKS":
        config |= {"durable_name": "pushing", "filter_subject": "magi.tasks.nobody", "ack_policy": "explicit"}
    try:
        before = (await _sizes(owner))["MAGI_DIRECTORY"]
        answer = await bus.request(f"$JS.API.{api}", json.dumps({"stream_name": stream, "config": config}).encode())
        assert b"error" not in answer, answer
        created = json.loads(answer)["name"]
        if stream == "MAGI_TASKS":
            await owner.store("magi.tasks.nobody", b'{"forged":true}')
        info = json.loads(await owner.request(f"$JS.API.CONSUMER.INFO.{stream}.{created}"))
        assert info["delivered"]["consumer_seq"] == 0  # no stream counts as somebody who listens
        assert (await _sizes(owner))["MAGI_DIRECTORY"] == before
        await owner.request(f"$JS.API.CONSUMER.DELETE.{stream}.{created}")
    finally:
        await bus.close()
        await owner.close()


async def test_a_voter_that_is_called_like_a_component_hears_none_of_its_answers(world: World) -> None:
    voter = await world.connect("voter gateway")
    attempts = Attempts(voter)
    try:
        await attempts.start()
        await attempts.subscribe("_INBOX_GATEWAY.>")
        await attempts.settle()
        assert attempts.refused("subscription", "_INBOX_GATEWAY.>")
    finally:
        await voter.close()


async def test_a_gateway_hears_what_an_orchestrator_stores(world: World) -> None:
    gateway, orchestrator = await world.connect("gateway"), await world.connect("orchestrator")
    heard = asyncio.Event()

    async def on_live(_: object) -> None:
        heard.set()

    try:
        await gateway.subscribe("magi.live.local.*", on_live)
        await gateway.nc.flush(10)
        await orchestrator.store("magi.log.local.heard", b"{}")
        await asyncio.wait_for(heard.wait(), 30)
    finally:
        await gateway.close()
        await orchestrator.close()
