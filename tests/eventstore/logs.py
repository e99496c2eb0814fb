"""Streams and logs for the tests, and what is in them as the server sees it."""

import uuid

import msgspec

from magi.domain.voting_request import RequestEvent
from magi.eventstore.bus import Bus
from magi.eventstore.log import JetStreamLog
from magi.eventstore.stream_config import Retention, StreamConfig

PREFIX = "test.log."


def new_name(what: str) -> str:
    """A stream's name that no test has had: nats-server 2.15.1 brings the messages of a stream that was just deleted
    back in one of the same name (in 4 % of 1,500 tries, while the folder of the old one is still there)."""
    return f"{what}_{uuid.uuid4().hex[:12]}"


async def make_stream(
    bus: Bus, name: str, *subjects: str, retention: Retention = "limits", allow_atomic: bool = True
) -> str:
    """Create a stream and return its name."""
    config = StreamConfig(
        name=name,
        subjects=subjects,
        storage="file",
        retention=retention,
        discard="new",
        num_replicas=1,
        duplicate_window=120_000_000_000,
        allow_direct=True,
        allow_atomic=allow_atomic,
    )
    await api(bus, f"STREAM.CREATE.{name}", msgspec.json.encode(config))
    return name


async def api(bus: Bus, what: str, request: bytes = b"") -> bytes:
    """Ask JetStream's API. Raises AssertionError when it refuses."""
    answer = await bus.request(f"$JS.API.{what}", request)
    assert b'"error"' not in answer, answer
    return answer


async def make_log(bus: Bus, stream: str, *, patience: float = 10.0) -> JetStreamLog[RequestEvent]:
    """A started log over `stream`."""
    log: JetStreamLog[RequestEvent] = JetStreamLog(bus, stream, PREFIX, RequestEvent, patience=patience)
    await log.start()
    return log


async def delete_message(bus: Bus, stream: str, sequence: int) -> None:
    await api(bus, f"STREAM.MSG.DELETE.{stream}", msgspec.json.encode({"seq": sequence}))


async def make_consumer(bus: Bus, stream: str, name: str, **config: object) -> str:
    """Create a durable pull consumer with explicit acknowledgements, and what else `config` says. Returns its name."""
    request = {
        "stream_name": stream,
        "config": {"durable_name": name, "ack_policy": "explicit", "max_ack_pending": -1, **config},
    }
    await api(bus, f"CONSUMER.CREATE.{stream}.{name}", msgspec.json.encode(request))
    return name


class ConsumerState(msgspec.Struct):
    """What the server says of a consumer."""

    num_ack_pending: int = 0
    num_pending: int = 0
    num_waiting: int = 0


async def consumer_state(bus: Bus, stream: str, name: str) -> ConsumerState:
    return msgspec.json.decode(await api(bus, f"CONSUMER.INFO.{stream}.{name}"), type=ConsumerState)
