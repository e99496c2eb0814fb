"""Streams and logs for the tests, and what is in them as the server sees it."""

import msgspec

from magi.domain.voting_request import RequestEvent
from magi.eventstore.bus import Bus
from magi.eventstore.log import JetStreamLog
from magi.eventstore.stream_config import Retention, StreamConfig

PREFIX = "test.log."


async def make_stream(bus: Bus, name: str, *subjects: str, retention: Retention = "limits") -> str:
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
        allow_atomic=True,
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
