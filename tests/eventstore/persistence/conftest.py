"""Fixtures for the persistence module: façades and recorders on the shared server. They block, so no loop runs here."""

import uuid
from collections.abc import Callable, Iterator

import pytest
from eventsourcing.persistence import StoredEvent

from magi.eventstore.persistence.facade import Facade
from magi.eventstore.persistence.factory import JetStreamFactory
from magi.eventstore.persistence.recorders import JetStreamApplicationRecorder
from tests.eventstore.logs import new_name
from tests.servers import NatsServer

MakeFactory = Callable[..., JetStreamFactory]


@pytest.fixture
def make_factory(shared_nats: NatsServer) -> Iterator[MakeFactory]:
    """Makes factories, whose settings are those of the first one and what is given; they are closed after the test."""
    made: list[JetStreamFactory] = []
    stream = new_name("EVENTS")

    def make(**settings: str) -> JetStreamFactory:
        defaults = {"MAGI_ES_NATS_URL": shared_nats.url, "MAGI_ES_STREAM": stream, "MAGI_ES_PATIENCE": "10"}
        made.append(JetStreamFactory({**defaults, **settings}))
        return made[-1]

    yield make
    for factory in made:
        factory.close()


@pytest.fixture
def recorder(make_factory: MakeFactory) -> JetStreamApplicationRecorder:
    return make_factory().application_recorder()


@pytest.fixture
def facade(shared_nats: NatsServer) -> Iterator[Facade]:
    facade = Facade(shared_nats.url)
    yield facade
    facade.close()


def events(
    count: int, originator: uuid.UUID | str | None = None, first: int = 1, topic: str = "topic"
) -> list[StoredEvent]:
    """`count` successive stored events of one originator."""
    originator = originator or uuid.uuid4()
    return [StoredEvent(originator, version, topic, b"%d" % version) for version in range(first, first + count)]
