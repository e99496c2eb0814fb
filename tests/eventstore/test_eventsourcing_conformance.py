"""The `eventsourcing` library's own test cases for persistence modules, against a real nats-server.

Tracking and process recorders are not ours to give: those two tests of the library look for the refusal instead.
"""

import uuid
from collections.abc import Iterator
from typing import Any
from unittest import TestCase

import pytest
from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    InfrastructureFactory,
    ProcessRecorder,
    TrackingRecorder,
)
from eventsourcing.tests.persistence import (
    AggregateRecorderTestCase,
    ApplicationRecorderTestCase,
    InfrastructureFactoryTestCase,
    NonInterleavingNotificationIDsBaseCase,
)
from eventsourcing.utils import Environment

from magi.eventstore.persistence import JetStreamFactory
from magi.eventstore.persistence.recorders import JetStreamAggregateRecorder, JetStreamApplicationRecorder
from tests.eventstore.logs import new_name
from tests.servers import NatsServer


class OnJetStream(TestCase):
    """Gives each test an environment with a stream of its own."""

    @pytest.fixture(autouse=True)
    def _factories(self, shared_nats: NatsServer) -> Iterator[None]:
        self.env = Environment(
            "Conformance",
            {
                "PERSISTENCE_MODULE": "magi.eventstore.persistence",
                "MAGI_ES_NATS_URL": shared_nats.url,
                "MAGI_ES_STREAM": new_name("EVENTS"),
            },
        )
        self.factories: list[InfrastructureFactory[Any]] = []
        yield
        for factory in self.factories:
            factory.close()

    def new_factory(self) -> InfrastructureFactory[Any]:
        factory: InfrastructureFactory[Any] = InfrastructureFactory.construct(self.env)
        self.factories.append(factory)
        return factory


class TestAggregateRecorder(OnJetStream, AggregateRecorderTestCase):
    def create_recorder(self) -> AggregateRecorder:
        return self.new_factory().aggregate_recorder()


class TestSnapshotRecorder(OnJetStream, AggregateRecorderTestCase):
    def create_recorder(self) -> AggregateRecorder:
        return self.new_factory().aggregate_recorder(purpose="snapshots")


class TestApplicationRecorder(OnJetStream, ApplicationRecorderTestCase[ApplicationRecorder]):
    def create_recorder(self) -> ApplicationRecorder:
        return self.new_factory().application_recorder()

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestApplicationRecorderWithTextIds(TestApplicationRecorder):
    def new_originator_id(self) -> str:
        return f"Account 7.1/ü *>{uuid.uuid4()}"


class TestNonInterleavingNotificationIDs(OnJetStream, NonInterleavingNotificationIDsBaseCase):
    insert_num = 1000

    def create_recorder(self) -> ApplicationRecorder:
        return self.new_factory().application_recorder()


class TestInfrastructureFactory(OnJetStream, InfrastructureFactoryTestCase[JetStreamFactory]):
    def expected_factory_class(self) -> type[JetStreamFactory]:
        return JetStreamFactory

    def expected_aggregate_recorder_class(self) -> type[AggregateRecorder]:
        return JetStreamAggregateRecorder

    def expected_application_recorder_class(self) -> type[ApplicationRecorder]:
        return JetStreamApplicationRecorder

    def expected_tracking_recorder_class(self) -> type[TrackingRecorder]:
        raise NotImplementedError

    def tracking_recorder_subclass(self) -> type[TrackingRecorder]:
        raise NotImplementedError

    def expected_process_recorder_class(self) -> type[ProcessRecorder]:
        raise NotImplementedError

    def test_create_tracking_recorder(self) -> None:
        with pytest.raises(NotImplementedError, match="no positions of projections"):
            self.factory.tracking_recorder()

    def test_create_process_recorder(self) -> None:
        with pytest.raises(NotImplementedError, match="no positions of projections"):
            self.factory.process_recorder()
