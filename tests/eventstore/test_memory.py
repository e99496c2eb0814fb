"""The in-memory store keeps the contract of the real one."""

import pytest

from magi.domain.voting_request import RequestEvent
from magi.eventstore.memory import MemoryStore
from tests.eventstore.contract import Store, StoreContract


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return MemoryStore(RequestEvent)
