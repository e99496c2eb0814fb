"""A proxy in front of nats-server that knows what a delivery looks like: who was sent what how often is told by no part
of MAGI, which are killed and forget, but by what came over the wire."""

import re
from collections import Counter

from tests.proxy import Proxy

_DELIVERY = re.compile(
    rb"H?MSG magi\.(inbox\.(\d+)\.(?:submission|ballot)|tasks)\.\S+ \S+ "
    rb"\$JS\.ACK\.(?:[^.\s]+\.){2,4}?(\d+)\.\d+\.\d+\.\d+\.\d+"
)


class Deliveries:
    """What was delivered through all the taps of a run."""

    def __init__(self) -> None:
        self.again: Counter[str] = Counter()
        """Deliveries of a ballot or a task that was delivered before (a submission comes again at its deadline)."""
        self.taken_over = 0
        """How often messages of a partition of the inbox came to another than the one before."""
        self._readers: dict[bytes, str] = {}

    def look(self, reader: str, data: bytes) -> None:
        """`data` goes to `reader`."""
        for found in _DELIVERY.finditer(data):
            what, partition, attempt = found.groups()
            kind = what.rpartition(b".")[2].decode()
            if kind != "submission" and int(attempt) > 1:
                self.again[kind] += 1
            if partition:
                before = self._readers.setdefault(partition, reader)
                self.taken_over += before != reader
                self._readers[partition] = reader


class Tap(Proxy):
    """The proxy of one part, `reader`."""

    def __init__(self, reader: str, deliveries: Deliveries, *ports: int) -> None:
        super().__init__(*ports)
        self._reader = reader
        self._deliveries = deliveries

    def pass_on(self, data: bytes) -> None:
        self._deliveries.look(self._reader, data)
