"""Direct get: read stored messages without a consumer, one aggregate in 0.6 ms or the whole stream in batches."""

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


class DirectReader:
    """Reads one stream by direct get. Start it before use."""

    def __init__(self, bus: Bus, stream: str) -> None:
        self._bus = bus
        self._api = f"$JS.API.DIRECT.GET.{stream}"
        self._stream = stream
        self._inbox = ""
        self._tokens = itertools.count(1)
        self._replies: dict[str, _Reply] = {}

    async def start(self) -> None:
        self._inbox = self._bus.nc.new_inbox()
        await self._bus.subscribe(f"{self._inbox}.*", self._receive)
        self._bus.on_disconnected.append(self._give_up_waiting)

    async def of_subject(self, subject: str, start: int = 1) -> list[StoredMessage]:
        """Every message on a literal subject with a sequence from `start`, in order.

        Raises NoStream or NoAck when the stream doesn't answer.
        """
        found: list[StoredMessage] = []
        while True:
            reply = await self._ask({"seq": max(1, start), "next_by_subj": subject, "batch": BATCH})
            found += reply.messages
            if not reply.pending or not reply.messages:
                return found
            start = found[-1].sequence + 1

    async def next_of_subject(self, subject: str, start: int) -> StoredMessage | None:
        """The first message on a literal subject with a sequence from `start`."""
        reply = await self._ask({"seq": max(1, start), "next_by_subj": subject, "batch": 1})
        return reply.messages[0] if reply.messages else None

    async def last_of_subject(self, subject: str) -> StoredMessage | None:
        """The last message on a literal subject."""
        reply = await self._ask({"multi_last": [subject]})
        return reply.messages[-1] if reply.messages else None

    async def last_of_each(self, filters: list[str]) -> list[StoredMessage]:
        """The last message on each subject that matches one of `filters`; at most 1,024 subjects."""
        return (await self._ask({"multi_last": filters})).messages

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
        """The stream's last sequence. Raises NoStream when the stream is missing."""
        info: dict[str, Any] = msgspec.json.decode(await self._bus.request(f"$JS.API.STREAM.INFO.{self._stream}"))
        if "error" in info:
            raise NoStream(f"stream {self._stream}: {info['error'].get('description', 'unknown error')}")
        return int(info["state"]["last_seq"])

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
