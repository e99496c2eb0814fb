"""A nats-server with every identity that MAGI has, each with its own rights, and what each may try there."""

import json
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace
from nats.aio.client import Client
from nats.aio.msg import Msg

from magi.domain.ids import VoterId
from magi.embedded import nkey
from magi.embedded.users import NatsEdge, NatsService, NatsUser, render
from magi.eventstore.bus import Bus
from magi.eventstore.declarations import load_declarations
from magi.eventstore.rights import (
    COMPONENTS,
    EDGE_FEEDS,
    EDGE_SERVICES,
    Rights,
    component_rights,
    inbox_prefix,
    voter_rights,
)
from magi.eventstore.streams import apply
from tests.servers import NatsServer
from tests.waiting import until

OWNER = "owner"
"""May do everything: what a test needs to look behind the others' backs."""
VOTERS = ("alice", "bob", "gateway")
"""Registered voters; nobody keeps one from calling itself as a component does."""
_NOBODYS = "nobody.may.publish.here"
EDGE = NatsEdge(tuple(NatsService(s.subject, s.streamed) for s in EDGE_SERVICES), EDGE_FEEDS)


class Identity(Struct, frozen=True):
    rights: Rights
    inbox: str
    public_key: str
    seed: str

    @property
    def user(self) -> NatsUser:
        return NatsUser(self.public_key, self.rights.publish, self.rights.subscribe, self.rights.account)


def identities() -> dict[str, Identity]:
    """Every component by its name, every voter as ``voter alice``."""
    found = {c: Identity(component_rights(c), inbox_prefix(c), *nkey.generate()) for c in COMPONENTS}
    voters = {f"voter {v}": Identity(voter_rights(VoterId(v)), f"_INBOX_{v}", *nkey.generate()) for v in VOTERS}
    return {**found, **voters}


class World:
    """The server and its identities."""

    def __init__(self, directory: Path, users: dict[str, Identity]) -> None:
        self.identities = users
        self._owner = nkey.generate()
        self.server = NatsServer(
            directory, config=render(self._owner[0], [one.user for one in users.values()], EDGE).decode()
        )

    async def connect(self, name: str) -> Bus:
        """A connection as an identity, or as OWNER."""
        if name == OWNER:
            return await Bus.connect(self.server.url, name=name, seed=self._owner[1])
        one = self.identities[name]
        return await Bus.connect(self.server.url, name=name, seed=one.seed, inbox_prefix=one.inbox)

    async def fill(self) -> None:
        """Make the streams, by whom MAGI makes them, and what is read in them."""
        operator, owner = await self.connect("operator"), await self.connect(OWNER)
        await apply(operator.nc, load_declarations())
        for voter in VOTERS:
            await owner.store(f"magi.tasks.{voter}", b"{}")
        await owner.store("magi.log.local.first", b"{}")
        await owner.store("magi.directory.voter.first", b"{}")
        for stream, consumer, subject in (
            ("MAGI_LOG", "follower", ">"),
            ("MAGI_DIRECTORY", "follower", ">"),
            ("MAGI_INBOX", "inbox-0", "magi.inbox.0.>"),
            *(("MAGI_TASKS", f"voter-{voter}", f"magi.tasks.{voter}") for voter in VOTERS),
        ):
            config = {"durable_name": consumer, "ack_policy": "explicit", "filter_subject": subject}
            request = json.dumps({"stream_name": stream, "config": config}).encode()
            await owner.request(f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.{consumer}", request)
        await operator.close()
        await owner.close()


class Attempts:
    """What one identity tries, and what came of it."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.nc: Client = bus.nc
        self.violations: list[str] = []
        self.answered: set[str] = set()

    async def start(self) -> None:
        async def on_error(error: Exception) -> None:
            self.violations.append(str(error).lower())

        self.nc._error_cb = on_error

    async def publish(self, action: str, subject: str, data: bytes) -> None:
        """Publish and take note of any answer that says more than that nobody is there."""

        async def on_answer(msg: Msg) -> None:
            if b"not enabled for account" not in msg.data and (msg.headers or {}).get("Status") != "503":
                self.answered.add(action)

        inbox = self.nc.new_inbox()  # one each: a delivered message doesn't say where it was asked for
        await self.nc.subscribe(inbox, cb=on_answer)
        await self.nc.publish(subject, data, reply=inbox)

    async def subscribe(self, subject: str) -> None:
        await self.nc.subscribe(subject, cb=_ignore)

    async def settle(self) -> None:
        """Return once the server has said all that it has to say: it refuses in order, and this comes last."""
        await self.nc.publish(_NOBODYS)

        async def refused() -> bool:
            return self.refused("publish", _NOBODYS)

        await until(refused, "the last refusal has come")

    def refused(self, verb: str, subject: str) -> bool:
        """Whether the server said that it may not `publish` or `subscribe` there."""
        return any(f"violation for {verb}" in said and f'"{subject.lower()}"' in said for said in self.violations)


async def _ignore(msg: Msg) -> None:
    pass


def in_the_core(users: dict[str, Identity], names: Iterable[str]) -> dict[str, Identity]:
    """The same with some of them in the account of the streams."""
    moved = {n: replace(users[n], rights=replace(users[n].rights, account="core")) for n in names}
    return {**users, **moved}
