"""The live streams: make them what is declared, say how they differ, refuse to run on weaker ones.

Speaks to `$JS.API.STREAM.*` in JSON of its own: the client's types drop what they don't know without a word, and a
field that is dropped is a promise that nobody checks. Only `apply` and `ensure_presence` change anything.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from magi.eventstore.declarations import INBOX, PARTITIONS, PRESENCE, StreamDeclaration, find, parse_partitions
from magi.eventstore.differences import FIXED, Difference, compare
from magi.eventstore.durability import ANY, sync_differences
from magi.eventstore.stream_config import StreamConfig

TIMEOUT = 10.0
"""Seconds for one answer. Alone a server takes 1 ms; a cluster first elects a leader, which took 5.5 s after a kill."""

_NOT_FOUND = 10059
_NAME_IN_USE = 10058
_INVALID_CONFIG = 10052

Action = Literal["created", "updated", "unchanged"]


class StreamsError(Exception):
    """Something about the streams stops us. The message says what, and what to do."""


class StreamsUnreachable(StreamsError):
    """JetStream did not answer."""


class StreamRefused(StreamsError):
    """nats-server refused to read, create or update a stream."""

    def __init__(self, stream: str, action: str, code: int, err_code: int, description: str, advice: str = "") -> None:
        super().__init__(f"nats-server refused to {action} {stream}: {description} ({code}, {err_code}){advice}")
        self.stream = stream
        self.action = action
        self.code = code
        self.err_code = err_code
        self.description = description


class NotInPlace(StreamRefused):
    """The change is one that JetStream can't make to a stream that exists; nothing of that stream was changed."""


class PartitionsInUse(StreamsError):
    """The number of partitions can't change while messages wait in the inbox under the old numbering."""


class WeakerStreams(StreamsError):
    """The live streams promise less than is declared. `differences` holds the weaker ones."""

    def __init__(self, differences: Sequence[Difference]) -> None:
        lines = [f"  {d.stream}: {d.field} is {d.live}, declared {d.declared}" for d in differences]
        super().__init__(
            "the live streams are weaker than declared:\n"
            + "\n".join(lines)
            + "\nRun `magi streams apply` (`magi streams diff` shows everything), but `magi doctor` first if a stream "
            + "is missing that was there; "
            + "what is said of nats-server is a matter of its own configuration."
        )
        self.differences = tuple(differences)


class Applied(Struct, frozen=True):
    """What `apply` did to one stream. `changes` are the differences that are gone now."""

    stream: str
    action: Action
    changes: tuple[Difference, ...] = ()


class _ApiError(Struct, frozen=True):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _State(Struct, frozen=True):
    messages: int = 0


class _ConsumerConfig(Struct, frozen=True):
    filter_subject: str = ""


class _Consumer(Struct, frozen=True):
    name: str
    num_waiting: int = 0
    config: _ConsumerConfig = _ConsumerConfig()


class _Reply(Struct, frozen=True):
    error: _ApiError | None = None
    config: StreamConfig | None = None
    state: _State = _State()
    consumers: tuple[_Consumer, ...] = ()


_decode_reply = msgspec.json.Decoder(_Reply).decode


async def apply(nc: Client, declarations: Iterable[StreamDeclaration]) -> list[Applied]:
    """Create the streams that are missing and update those that differ; a second call changes nothing.

    Stream by stream: what was done before an error stays done. Raises PartitionsInUse, NotInPlace, StreamRefused and
    StreamsUnreachable.
    """
    return [await _apply_one(nc, declaration) for declaration in declarations]


async def diff(nc: Client, declarations: Iterable[StreamDeclaration]) -> list[Difference]:
    """Every field in which the live streams are not as declared. Raises StreamRefused and StreamsUnreachable."""
    found: list[Difference] = []
    for declaration in declarations:
        live = await _info(nc, declaration.name)
        found += compare(declaration, live.config if live else None)
    return found


async def check(
    nc: Client, declarations: Iterable[StreamDeclaration], *, monitor_url: str = "", sync_interval: str = ANY
) -> None:
    """Return if the live streams promise at least what is declared; every part calls this when it starts.

    `sync_interval` and `monitor_url` as in `durability.sync_differences`. Raises WeakerStreams with each weaker field,
    StreamRefused and StreamsUnreachable. Changes nothing.
    """
    found = [*await diff(nc, declarations), *await sync_differences(monitor_url, sync_interval)]
    weaker = [difference for difference in found if difference.weaker]
    if weaker:
        raise WeakerStreams(weaker)


async def inbox_partitions(nc: Client) -> int:
    """How many partitions the live inbox has; senders and owners must all go by this. Raises StreamsError."""
    live = await _info(nc, INBOX)
    if live is None or live.config is None:
        raise StreamsError(f"there is no stream {INBOX}: run `magi streams apply`")
    try:
        return parse_partitions(live.config.metadata.get(PARTITIONS))
    except ValueError as error:
        raise StreamsError(f"the live stream {INBOX}: {error}: run `magi streams apply`") from error


async def ensure_presence(nc: Client, declarations: Iterable[StreamDeclaration]) -> None:
    """Make the presence stream if it is not there: it is in memory, so a restart of a lone server takes it along.

    Any number of parts may do so at once. One that exists is left as it is. Raises StreamRefused, StreamsUnreachable.
    """
    declaration = find(declarations, PRESENCE)
    reply = await _request(nc, f"STREAM.CREATE.{PRESENCE}", msgspec.json.encode(declaration.config))
    if reply.error and reply.error.err_code != _NAME_IN_USE:
        raise _refusal(PRESENCE, "create", reply.error)


async def _apply_one(nc: Client, declaration: StreamDeclaration) -> Applied:
    name = declaration.name
    live = await _info(nc, name)
    changes = compare(declaration, live.config if live else None)
    if not changes:
        return Applied(name, "unchanged")
    if live is None or live.config is None:
        reply = await _request(nc, f"STREAM.CREATE.{name}", msgspec.json.encode(declaration.config))
        if reply.error:
            raise _refusal(name, "create", reply.error)
        action: Action = "created"
    else:
        if declaration.name == INBOX:
            await _change_partitions(nc, declaration, live)
        config = replace(declaration.config, metadata=_merged(declaration.config, live.config))
        reply = await _request(nc, f"STREAM.UPDATE.{name}", msgspec.json.encode(config))
        if reply.error:
            raise _update_refusal(name, reply.error, changes)
        action = "updated"
    left = compare(declaration, reply.config)
    if left:
        fields = ", ".join(f"{d.field} is {d.live} and not {d.declared}" for d in left)
        raise StreamsError(f"nats-server took the configuration of {name}, but {fields}: is it 2.15 or newer?")
    return Applied(name, action, tuple(changes))


async def _change_partitions(nc: Client, declaration: StreamDeclaration, live: _Reply) -> None:
    """Make room for another number of partitions, if that is what is declared: forget the consumers that go.

    Raises PartitionsInUse while messages wait in the inbox, or somebody reads it: senders and readers that go by
    different numbers would lose sight of each other. Between this look and the update a message may still come: stop
    the gateways first. The server has no update with a condition.
    """
    declared = declaration.config.metadata.get(PARTITIONS)
    now = live.config.metadata.get(PARTITIONS) if live.config else declared
    if declared == now:
        return
    change = f"{INBOX}: {PARTITIONS} can't change from {now} to {declared}"
    if live.state.messages:
        raise PartitionsInUse(
            f"{change} while {live.state.messages} messages wait: "
            f"stop the gateways, let the orchestrators empty it, and apply again (or declare {now})"
        )
    consumers = (await _request(nc, f"CONSUMER.LIST.{INBOX}", b"")).consumers
    if any(consumer.num_waiting for consumer in consumers):
        raise PartitionsInUse(f"{change} while orchestrators read it: stop all parts, and apply again")
    for consumer in consumers:
        _, _, number, *_ = f"{consumer.config.filter_subject}...".split(".")
        if number.isdecimal() and int(number) >= parse_partitions(declared):
            await _request(nc, f"CONSUMER.DELETE.{INBOX}.{consumer.name}", b"")


def _merged(declared: StreamConfig, live: StreamConfig) -> dict[str, str]:
    """The declared metadata and what others put there. The server's own keys are its to write."""
    return {k: v for k, v in live.metadata.items() if not k.startswith("_nats.")} | declared.metadata


def _refusal(stream: str, action: str, error: _ApiError) -> StreamRefused:
    return StreamRefused(stream, action, error.code, error.err_code, error.description)


def _update_refusal(stream: str, error: _ApiError, changes: Iterable[Difference]) -> StreamRefused:
    fixed = [d for d in changes if d.field in FIXED]
    if error.err_code != _INVALID_CONFIG or not fixed:
        return _refusal(stream, "update", error)
    what = ", ".join(f"{d.field} from {d.live} to {d.declared}" for d in fixed)
    advice = (
        f"; JetStream can't change {what} in place, and nothing of {stream} was changed. Declare the live value, or "
        "back the stream up, delete it, run `magi streams apply` and put the messages back"
    )
    return NotInPlace(stream, "update", error.code, error.err_code, error.description, advice)


async def _info(nc: Client, stream: str) -> _Reply | None:
    """The live stream; None when there is none."""
    reply = await _request(nc, f"STREAM.INFO.{stream}", b"")
    if reply.error is None:
        return reply
    if reply.error.err_code == _NOT_FOUND:
        return None
    raise _refusal(stream, "read", reply.error)


async def _request(nc: Client, api: str, body: bytes) -> _Reply:
    try:
        answer = await nc.request(f"$JS.API.{api}", body, timeout=TIMEOUT)
    except NoRespondersError as error:
        raise StreamsUnreachable(
            "nobody answers for JetStream: is `jetstream` on in the server's configuration?"
        ) from error
    except (NatsError, TimeoutError) as error:
        raise StreamsUnreachable(
            f"no answer to {api} within {TIMEOUT:.0f} s (no connection, no leader, or no permission): {error}"
        ) from error
    try:
        return _decode_reply(answer.data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StreamsError(f"can't read nats-server's answer to {api}: {error}") from error
