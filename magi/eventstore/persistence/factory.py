"""The library's infrastructure factory: what an application's environment says, as recorders over JetStream.

Settings (each may carry the application's name in front, as everywhere in the library: ``BANK_MAGI_ES_STREAM``):

- ``MAGI_ES_NATS_URL``: where nats-server is; default ``nats://127.0.0.1:4222``.
- ``MAGI_ES_SEED_FILE``: file with the nkey seed to prove; by default none is proved.
- ``MAGI_ES_STREAM``: the stream of the events; default ``<APPLICATION>_EVENTS``. Snapshots are in ``<it>_SNAPSHOTS``.
- ``MAGI_ES_SUBJECT_PREFIX``: what subjects begin with, up to a dot; default ``es.<stream>.``.
- ``MAGI_ES_FORMAT``: ``plain`` (default) for any events, ``log`` for requests' events in MAGI's own log.
- ``MAGI_ES_PATIENCE``: seconds to go on trying while the stream doesn't answer; default 30.
- ``CREATE_TABLE``: whether to create streams that are missing; default yes. The log's never is: it is declared.

Streams that are to be replicated have to be there beforehand: ``allow_direct`` and ``allow_atomic``, without limits.
"""

from pathlib import Path

import msgspec
from eventsourcing.domain import TAggregateID
from eventsourcing.persistence import (
    InfrastructureFactory,
    Mapper,
    OperationalError,
    ProcessRecorder,
    ProgrammingError,
    TrackingRecorder,
    Transcoder,
)
from eventsourcing.utils import Environment, EnvType, strtobool

from magi.domain.voting_request import RequestEvent
from magi.eventstore.bus import Bus
from magi.eventstore.patience import PATIENCE
from magi.eventstore.persistence.facade import Facade
from magi.eventstore.persistence.formats import LogFormat, PlainFormat
from magi.eventstore.persistence.mapper import StructMapper
from magi.eventstore.persistence.recorders import JetStreamAggregateRecorder, JetStreamApplicationRecorder
from magi.eventstore.persistence.records import Records, SnapshotRecords
from magi.eventstore.stream_config import StreamConfig

_NO_TRACKING = (
    "JetStream keeps no positions of projections: they belong into the database of what is projected, in the same "
    "transaction. Use a tracking recorder of PostgreSQL or SQLite."
)


class JetStreamFactory(InfrastructureFactory[TrackingRecorder]):
    """Constructs recorders over one connection. `close` ends it, and every subscription."""

    NATS_URL = "MAGI_ES_NATS_URL"
    SEED_FILE = "MAGI_ES_SEED_FILE"
    STREAM = "MAGI_ES_STREAM"
    SUBJECT_PREFIX = "MAGI_ES_SUBJECT_PREFIX"
    FORMAT = "MAGI_ES_FORMAT"
    PATIENCE = "MAGI_ES_PATIENCE"
    CREATE_TABLE = "CREATE_TABLE"

    def __init__(self, env: Environment | EnvType | None) -> None:
        """Connects to nothing yet. Raises ProgrammingError naming the setting that is wrong."""
        super().__init__(env)
        form = self.env.get(self.FORMAT, "plain")
        if form not in ("plain", "log"):
            raise ProgrammingError(f"{self.FORMAT}: expected 'plain' or 'log', got {form!r}")
        self._is_log = form == "log"
        self._stream = self.env.get(self.STREAM, f"{self.env.name or 'application'}_events".upper())
        self._prefix = self.env.get(self.SUBJECT_PREFIX, f"es.{self._stream}.")
        if not self._prefix.endswith("."):
            raise ProgrammingError(f"{self.SUBJECT_PREFIX}: expected a dot at its end, got {self._prefix!r}")
        try:
            self._patience = float(self.env.get(self.PATIENCE, str(PATIENCE)))
        except ValueError as error:
            raise ProgrammingError(f"{self.PATIENCE}: expected a number of seconds: {error}") from error
        self.facade = Facade(
            self.env.get(self.NATS_URL, "nats://127.0.0.1:4222"),
            name=self.env.name or "eventsourcing",
            seed=self._seed(),
        )

    def mapper(
        self, transcoder: Transcoder | None = None, mapper_class: type[Mapper[TAggregateID]] | None = None
    ) -> Mapper[TAggregateID]:
        if mapper_class is None and not self.env.get(self.MAPPER_TOPIC):
            mapper_class = StructMapper[TAggregateID]
        return super().mapper(transcoder, mapper_class)

    def aggregate_recorder(self, purpose: str = "events") -> JetStreamAggregateRecorder:
        """`purpose` is ``events`` or ``snapshots``; snapshots have a stream of their own."""
        if purpose == "events":
            return JetStreamAggregateRecorder(self.facade, self._events())
        if self._is_log:
            raise ProgrammingError("the log has no snapshots: a request has some ten events")
        stream, prefix = f"{self._stream}_{purpose.upper()}", f"{purpose}.{self._prefix}"
        records = SnapshotRecords(self.facade.bus, stream, prefix, PlainFormat(), patience=self._patience)
        return JetStreamAggregateRecorder(self.facade, self._start(records))

    def application_recorder(self) -> JetStreamApplicationRecorder:
        return JetStreamApplicationRecorder(self.facade, self._events())

    def tracking_recorder(self, tracking_recorder_class: type[TrackingRecorder] | None = None) -> TrackingRecorder:
        """Raises NotImplementedError."""
        raise NotImplementedError(_NO_TRACKING)

    def process_recorder(self) -> ProcessRecorder:
        """Raises NotImplementedError."""
        raise NotImplementedError(_NO_TRACKING)

    def close(self) -> None:
        self.facade.close()

    def _seed(self) -> str | None:
        file = self.env.get(self.SEED_FILE)
        if not file:
            return None
        try:
            return Path(file).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ProgrammingError(f"{self.SEED_FILE}: {file} can't be read: {error}") from error

    def _events(self) -> Records:
        form = LogFormat(RequestEvent) if self._is_log else PlainFormat()
        return self._start(Records(self.facade.bus, self._stream, self._prefix, form, patience=self._patience))

    def _start(self, records: Records) -> Records:
        if not self._is_log and strtobool(self.env.get(self.CREATE_TABLE, "yes")):
            self.facade.call(_ensure_stream(records.bus, records.stream, records.prefix))
        self.facade.call(records.start())
        return records


class _Refusal(msgspec.Struct, frozen=True):
    err_code: int = 0
    description: str = ""


class _Answer(msgspec.Struct, frozen=True):
    error: _Refusal | None = None


_EXISTS = 10058
"""The server's code for a stream of this name with another configuration."""


async def _ensure_stream(bus: Bus, stream: str, prefix: str) -> None:
    """Create the stream unless there is one of this name. Raises OperationalError."""
    config = StreamConfig(
        name=stream,
        subjects=(f"{prefix}>",),
        storage="file",
        retention="limits",
        discard="new",
        num_replicas=1,
        duplicate_window=120 * 10**9,
        deny_delete=True,
        deny_purge=True,
        allow_direct=True,
        allow_atomic=True,
    )
    answer = msgspec.json.decode(
        await bus.request(f"$JS.API.STREAM.CREATE.{stream}", msgspec.json.encode(config)), type=_Answer
    )
    if answer.error and answer.error.err_code != _EXISTS:
        raise OperationalError(f"can't create the stream {stream}: {answer.error.description}")
