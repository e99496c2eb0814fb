"""Looking at a voting request as it was at a version: the library's repository over MAGI's own log."""

from collections.abc import Iterable
from types import TracebackType
from typing import Self

from eventsourcing.application import AggregateNotFoundError, Repository
from eventsourcing.persistence import EventStore, JSONTranscoder
from msgspec import Struct

from magi.domain.ids import AggregateId
from magi.domain.voting_request import INITIAL, RequestEvent, VotingRequest, evolve
from magi.eventstore import subjects
from magi.eventstore.patience import PATIENCE
from magi.eventstore.persistence.facade import Facade
from magi.eventstore.persistence.formats import LogFormat
from magi.eventstore.persistence.mapper import StructMapper
from magi.eventstore.persistence.recorders import JetStreamApplicationRecorder
from magi.eventstore.persistence.records import Records

__all__ = ["AggregateNotFoundError", "RequestAggregate", "RequestRepository", "project", "request_repository"]


class RequestAggregate(Struct, frozen=True):
    """A voting request as the library wants an aggregate: with its id."""

    id: str
    state: VotingRequest

    @property
    def version(self) -> int:
        return self.state.version


def project(aggregate: RequestAggregate | None, events: Iterable[RequestEvent]) -> RequestAggregate | None:
    """The request after `events`; None when there were none at all. The library calls this a projector function."""
    for event in events:
        state = evolve(aggregate.state if aggregate else INITIAL, event)
        aggregate = RequestAggregate(event.originator_id, state)
    return aggregate


class RequestRepository:
    """Requests by id, at any version. Blocks its thread; close it, or use it as a context manager."""

    def __init__(self, facade: Facade, recorder: JetStreamApplicationRecorder) -> None:
        self._facade = facade
        self._repository: Repository[str] = Repository(EventStore(StructMapper(JSONTranscoder()), recorder))

    def get(self, request: AggregateId, *, version: int | None = None) -> VotingRequest:
        """The request after its first `version` events, by default after all of them.

        Raises AggregateNotFoundError when it has none, OperationalError when the log doesn't answer, and DataError when
        what is stored can't be what was appended.
        """
        aggregate: RequestAggregate = self._repository.get(request, version=version, projector_func=project)
        return aggregate.state

    def close(self) -> None:
        self._facade.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def request_repository(
    url: str,
    *,
    seed: str | None = None,
    stream: str = subjects.LOG,
    prefix: str = subjects.LOG_PREFIX,
    patience: float = PATIENCE,
) -> RequestRepository:
    """The repository of the requests in the log at `url`. Raises OperationalError when NATS can't be reached."""
    facade = Facade(url, name="magi-repository", seed=seed)
    records = Records(facade.bus, stream, prefix, LogFormat(RequestEvent), patience=patience)
    facade.call(records.start())
    return RequestRepository(facade, JetStreamApplicationRecorder(facade, records))
