"""The metrics of a connection to NATS."""

from collections.abc import Iterable

from magi.eventstore.bus import Bus
from magi.telemetry import declarations as d
from magi.telemetry.instruments import Reading


class BusMetrics:
    """Reads what a bus counts."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def metrics(self) -> Iterable[Reading]:
        bus = self._bus
        yield d.NATS_CONNECTED, float(bus.connected)
        yield d.NATS_RECONNECTS, bus.reconnects
        yield d.NATS_UNANSWERED, bus.unanswered
        yield d.NATS_WAITING, bus.waiting
        yield d.STORE_RETRIES, bus.retries
        yield d.APPEND_CONFLICTS, bus.conflicts
        yield d.LOST_ACKS, bus.lost_acks
