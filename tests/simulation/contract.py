"""What MAGI relies on in nats-server, as cases that note what they see: the simulated one must show what the real does.

Each case has streams of its own, named after it, so that all can run side by side on one server. What they note has no
times in it. They assert that the interesting thing did happen.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from nats.aio.msg import Msg

from magi.eventstore.bus import Bus, Rejected
from magi.eventstore.pull import delivery
from tests.waiting import until

Seen = list[Any]
Case = Callable[[Callable[[], Awaitable[Bus]], str], Awaitable[Seen]]
CASES: dict[str, Case] = {}
QUIET = 0.15
"""Seconds in which nothing comes: then nothing will."""
COUNTED = 0.1
"""Seconds after which a consumer has counted what is stored: some time after the publisher was told, and no answer of
the server's says when. Up to a millisecond was measured, on an idle machine."""


def case(function: Case) -> Case:
    CASES[function.__name__] = function
    return function


# --- Helpers ----------------------------------------------------------------------------------------------------------


async def api(bus: Bus, call: str, **body: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(await bus.request(f"$JS.API.{call}", json.dumps(body).encode() if body else b""))
    return found


def error_of(answer: dict[str, Any]) -> tuple[int, int]:
    return answer["error"]["code"], answer["error"]["err_code"]


async def make_stream(bus: Bus, name: str, **config: Any) -> None:
    base = {"name": name, "subjects": [f"{name}.*"], "storage": "file", "retention": "limits", "num_replicas": 1}
    base |= {"discard": "new", "duplicate_window": 120 * 10**9, "allow_direct": True}
    answer = await api(bus, f"STREAM.CREATE.{name}", **{**base, **config})
    assert "error" not in answer, answer


async def make_consumer(bus: Bus, stream: str, name: str = "c", **config: Any) -> None:
    base = {"durable_name": name, "ack_policy": "explicit", "ack_wait": 60 * 10**9, "max_deliver": -1}
    config = {**base, "deliver_policy": "all", "max_ack_pending": -1, **config}
    answer = await api(bus, f"CONSUMER.DURABLE.CREATE.{stream}.{name}", stream_name=stream, config=config)
    assert "error" not in answer, answer


async def put(bus: Bus, subject: str, data: str = "", **headers: str) -> tuple[int, bool] | int:
    """Sequence and whether it is a duplicate, or the error."""
    try:
        ack = await bus.store(subject, data.encode(), {k.replace("_", "-"): v for k, v in headers.items()})
    except Rejected as error:
        return error.err_code
    return ack.seq, ack.duplicate


class Reader:
    """One inbox, and pull requests that are answered there."""

    def __init__(self, bus: Bus, stream: str, consumer: str = "c") -> None:
        self.bus = bus
        self.stream = stream
        self.consumer = consumer
        self.messages: list[Msg] = []
        self.sub: Any = None

    async def start(self) -> "Reader":
        async def take(msg: Msg) -> None:
            self.messages.append(msg)

        self.sub = await self.bus.subscribe(self.bus.nc.new_inbox(), take)
        return self

    async def pull(self, batch: int = 1, expires: float = 30.0, **more: Any) -> None:
        await asyncio.sleep(COUNTED)
        body = {"batch": batch, "expires": int(expires * 1e9), **more}
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self.stream}.{self.consumer}"
        await self.bus.publish(subject, json.dumps(body).encode(), reply=self.sub.subject)

    async def take(self, count: int, within: float = 15.0) -> list[Any]:
        """What the next so many messages are."""

        async def come() -> bool:
            return len(self.messages) >= count

        await until(come, f"{count} messages come to {self.stream}", within)
        taken, self.messages = self.messages[:count], self.messages[count:]
        self.last = taken[-1]
        return [self.shown(msg) for msg in taken]

    @staticmethod
    def shown(msg: Msg) -> Any:
        headers = msg.headers or {}
        if "Status" in headers:
            return headers["Status"], headers.get("Nats-Pending-Messages")
        about = delivery(msg.reply)
        return msg.subject, msg.data.decode(), about.sequence, about.attempt, about.pending

    async def nothing(self) -> None:
        await asyncio.sleep(QUIET)
        assert not self.messages, [self.shown(msg) for msg in self.messages]

    async def say(self, word: str, reply: str = "") -> None:
        await self.bus.publish(reply or self.last.reply, word.encode())


def uncounted(shown: list[Any]) -> list[Any]:
    """Without how many are pending: whether the server counts before or after the next is stored is chance."""
    return [one[:-1] if len(one) == 5 else one for one in shown]


async def reading(connect: Callable[[], Awaitable[Bus]], name: str, **config: Any) -> Reader:
    """A work queue with one consumer, and a reader of it."""
    bus = await connect()
    await make_stream(bus, name, retention="workqueue")
    await make_consumer(bus, name, **config)
    return await Reader(bus, name).start()


async def left(bus: Bus, stream: str) -> int:
    """How many messages there are, once what was acknowledged is gone."""
    await asyncio.sleep(QUIET)
    return int((await api(bus, f"STREAM.INFO.{stream}"))["state"]["messages"])
