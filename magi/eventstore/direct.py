"""Direct get: read stored messages without a consumer, one aggregate in 0.6 ms or the whole stream in batches.

Any copy of a replicated stream answers, one that is behind as well, and says nothing of it (ADR-31; nats-server 2.15.1
knows no way to ask for more). Whoever takes "nothing is there" for an answer would lose a vote by that. So of a subject
of a replicated stream the leader is first asked how many messages it has; a copy with fewer has not answered.
"""

import asyncio
import itertools
from typing import Any

import msgspec
from msgspec import Struct
from nats.aio.msg import Msg

from magi.eventstore.bus import Bus, NoAck, NoStream

BATCH = 1000
"""Messages a request: the server sends at most this many for one."""
TIMEOUT = 5.0
COPIES_KNOWN_FOR = 60.0
"""Seconds until it is asked again whether a stream that had one copy is replicated now."""


class StoredMessage(Struct, frozen=True):
    """A message as a stream holds it."""

    sequence: int
    subject: str
    data: bytes
    headers: dict[str, str] = {}


class _Reply:
    """The messages of one request, as they come in."""

    def __init__(self) -> None:
        self.messages: list[StoredMessage] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.pending = 0
        self.whole = True
        """Each message says which one was sent before it: none was lost on the way."""

    def follows(self, headers: dict[str, str]) -> None:
        """The headers of what came next."""
        before = headers.get("Nats-Last-Sequence")
        last = self.messages[-1].sequence if self.messages else 0
        if before is not None and int(before) != last:
            self.whole = False


class _Config(Struct, frozen=True):
    num_replicas: int = 1


class _State(Struct, frozen=True):
    last_seq: int = 0
    subjects: dict[str, int] = {}


class _Error(Struct, frozen=True):
    description: str = "unknown error"


class _Info(Struct, frozen=True):
    config: _Config = _Config()
    state: _State = _State()
    error: _Error | None = None


_decode_info = msgspec.json.Decoder(_Info).decode


class DirectReader:
    """Reads one stream by direct get. Start it before use."""

    def __init__(self, bus: Bus, stream: str) -> None:
        self._bus = bus
        self._api = f"$JS.API.DIRECT.GET.{stream}"
        self._stream = stream
        self._inbox = ""
        self._tokens = itertools.count(1)
        self._replies: dict[str, _Reply] = {}
        self._single_until = 0.0
        """Until then the stream is taken to have one copy, on the loop's clock."""

    async def start(self) -> None:
        self._inbox = self._bus.nc.new_inbox()
        await self._bus.subscribe(f"{self._inbox}.*", self._receive)
        self._bus.on_disconnected.append(self._give_up_waiting)

    async def of_subject(self, subject: str, start: int = 1) -> list[StoredMessage]:
        """Every message on a literal subject with a sequence from `start`, in order.

        All that were stored when it was called, when `start` is 1; else a copy that is behind may answer. Raises
        NoStream or NoAck when the stream doesn't answer, or a copy did that is behind: ask again.
        """
        stored = await self._count(subject) if start <= 1 else 0
        found: list[StoredMessage] = []
        while True:
            reply = await self._ask({"seq": max(1, start), "next_by_subj": subject, "batch": BATCH})
            found += reply.messages
            if not reply.pending or not reply.messages:
                break
            start = found[-1].sequence + 1
        if len(found) < stored:
            raise NoAck(f"stream {self._stream}: a copy answered that has {len(found)} of {stored} messages")
        return found

    async def next_of_subject(self, subject: str, start: int) -> StoredMessage | None:
        """The first message on a literal subject with a sequence from `start`. Raises as `of_subject`."""
        reply = await self._ask({"seq": max(1, start), "next_by_subj": subject, "batch": 1})
        if reply.messages or not await self.replicated():
            return reply.messages[0] if reply.messages else None
        return next((message for message in await self.of_subject(subject) if message.sequence >= start), None)

    async def replicated(self) -> bool:
        """Whether the stream has several copies, one of which may be behind. Raises NoStream, NoAck."""
        return await self._look("") is not None

    async def _count(self, subject: str) -> int:
        """How many messages a literal subject of a replicated stream has; 0 where there is one copy, which has all."""
        info = await self._look(subject)
        return info.state.subjects.get(subject, 0) if info else 0

    async def _look(self, subject: str) -> _Info | None:
        """What the leader says of a replicated stream and of a subject in it; None of one that isn't."""
        now = asyncio.get_running_loop().time()
        if now < self._single_until:
            return None
        info = await self._info({"subjects_filter": subject} if subject else {})
        if info.config.num_replicas > 1:
            return info
        self._single_until = now + COPIES_KNOWN_FOR
        return None

    async def last_of_subject(self, subject: str) -> StoredMessage | None:
        """The last message on a literal subject."""
        found = await self.last_of_each([subject])
        return found[-1] if found else None

    async def last_of_each(self, filters: list[str]) -> list[StoredMessage]:
        """The last message on each subject that matches one of `filters`; at most 1,024 subjects."""
        reply = await self._ask({"multi_last": filters})
        if reply.pending:
            raise NoAck(f"stream {self._stream}: {reply.pending} messages of an answer are missing")
        return reply.messages

    async def batch(self, start: int, limit: int = BATCH) -> list[StoredMessage]:
        """Up to `limit` messages with a sequence from `start`, in order; fewer only at the stream's end."""
        found: list[StoredMessage] = []
        while len(found) < limit:
            reply = await self._ask({"seq": start, "batch": min(BATCH, limit - len(found))})
            found += reply.messages
            if not reply.messages or not reply.pending:
                break
            start = found[-1].sequence + 1
        return found

    async def last_sequence(self) -> int:
        """The stream's last sequence, by its leader. Raises NoStream when the stream is missing."""
        return (await self._info({})).state.last_seq

    async def _info(self, query: dict[str, str]) -> _Info:
        body = msgspec.json.encode(query) if query else b""
        info = _decode_info(await self._bus.request(f"$JS.API.STREAM.INFO.{self._stream}", body))
        if info.error:
            raise NoStream(f"stream {self._stream}: {info.error.description}")
        return info

    async def _ask(self, query: dict[str, Any]) -> _Reply:
        token = str(next(self._tokens))
        reply = self._replies[token] = _Reply()
        try:
            await self._bus.publish(self._api, msgspec.json.encode(query), reply=f"{self._inbox}.{token}")
            await asyncio.wait_for(reply.done, TIMEOUT)
        except TimeoutError as error:
            raise NoAck(f"stream {self._stream} didn't answer within {TIMEOUT} s") from error
        finally:
            del self._replies[token]
        if not reply.whole:
            raise NoAck(f"stream {self._stream}: messages of an answer were lost")
        return reply

    async def _give_up_waiting(self) -> None:
        for reply in self._replies.values():
            if not reply.done.done():
                reply.done.set_exception(NoAck("the connection was lost"))

    async def _receive(self, msg: Msg) -> None:
        reply = self._replies.get(msg.subject[len(self._inbox) + 1 :])
        headers = msg.headers
        if reply is None or headers is None:
            return
        status = headers.get("Status")
        if status in (None, "204"):
            reply.follows(headers)
        if status is None:
            reply.messages.append(
                StoredMessage(int(headers["Nats-Sequence"]), headers["Nats-Subject"], msg.data, headers)
            )
        elif reply.done.done():
            return
        elif status in ("204", "404"):  # the end of the batch, or nothing found
            reply.pending = int(headers.get("Nats-Num-Pending", 0))
            reply.done.set_result(None)
        elif status == "503":
            reply.done.set_exception(NoStream(f"stream {self._stream} is missing, or without a leader"))
        else:
            reply.done.set_exception(NoAck(f"stream {self._stream}: {status} {headers.get('Description', '')}"))
