"""Which stream it is: two streams of one name are told apart, also after one was deleted and made again."""

import base64
import hashlib

import msgspec
from msgspec import Struct

from magi.eventstore.bus import Bus, NoStream

_NO_MESSAGE = 10037


class _Error(Struct, frozen=True):
    err_code: int = 0
    description: str = ""


class _State(Struct, frozen=True):
    last_seq: int = 0


class _Info(Struct, frozen=True):
    created: str = ""
    state: _State = _State()
    error: _Error | None = None


class _Message(Struct, frozen=True):
    seq: int = 0
    subject: str = ""
    data: str = ""


class _Found(Struct, frozen=True):
    message: _Message = _Message()
    error: _Error | None = None


class StreamState(Struct, frozen=True):
    identity: str
    """Opaque: equal for the same stream only, through restarts and restores of its server."""
    last_sequence: int


class Stored(Struct, frozen=True):
    sequence: int
    digest: str
    """SHA-256 (hex) of the stored bytes."""


async def stream_state(bus: Bus, stream: str) -> StreamState:
    """Raises BusError."""
    info = msgspec.json.decode(await bus.request(f"$JS.API.STREAM.INFO.{stream}"), type=_Info)
    if info.error:
        raise NoStream(f"stream {stream}: {info.error.description}")
    identity = hashlib.sha256(f"{stream} {info.created}".encode()).hexdigest()[:16]
    return StreamState(identity, info.state.last_seq)


async def stored_at(bus: Bus, stream: str, sequence: int) -> Stored | None:
    """The message at a sequence; None when there is none. Raises BusError."""
    return await _get(bus, stream, {"seq": sequence})


async def first_from(bus: Bus, stream: str, sequence: int) -> Stored | None:
    """The first message at or behind a sequence. Raises BusError."""
    return await _get(bus, stream, {"seq": sequence, "next_by_subj": ">"})


async def _get(bus: Bus, stream: str, query: dict[str, int | str]) -> Stored | None:
    answer = await bus.request(f"$JS.API.STREAM.MSG.GET.{stream}", msgspec.json.encode(query))
    found = msgspec.json.decode(answer, type=_Found)
    if found.error is None:
        data = base64.b64decode(found.message.data)
        return Stored(found.message.seq, hashlib.sha256(data).hexdigest())
    if found.error.err_code == _NO_MESSAGE:
        return None
    raise NoStream(f"stream {stream}: {found.error.description}")
