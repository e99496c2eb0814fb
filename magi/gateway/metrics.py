"""What a gateway counts: its connections, their errors, and how long clients waited for verdicts."""

from collections import Counter
from collections.abc import Iterable
from itertools import product

from magi.domain.clock import milliseconds
from magi.domain.voting_request import Adjudicated
from magi.eventstore.presence import now_ms
from magi.telemetry import declarations as d
from magi.telemetry.instruments import Histogram, Reading

CLIENTS = ("initiator", "voter")
OURS = ("internal", "unavailable", "overloaded")
"""The errors that are not a client's fault. They are counted from 0 on, so that there is an alert on the first."""


class Figures:
    """Of one gateway; all its sessions count here."""

    def __init__(self) -> None:
        self.requests = Counter({"submitted": 0, "repeated": 0, "failed": 0})
        """What became of requests, as `magi_gateway_requests_total` says."""
        self.errors = Counter(dict.fromkeys(product(CLIENTS, OURS), 0))
        """Errors that were sent, by the kind of client and the code."""
        self.opened = Counter(dict.fromkeys(CLIENTS, 0))
        """Connections, by the kind of client."""
        self.cut_off = Counter({"too_slow": 0, "no_pong": 0})
        self.holes = 0
        """Live events that did not come."""
        self._durations = Histogram(d.GATEWAY_SECONDS.buckets)
        self._sent = Histogram(d.STAGE_SECONDS.buckets)

    def told(self, verdict: Adjudicated, took: float | None) -> None:
        """A live verdict was handed to a connection. `took` is how many seconds after the request had come on it; None
        if it hadn't."""
        self._sent.observe(max(0, now_ms() - milliseconds(verdict.at)) / 1000)
        if took is not None:
            self._durations.observe(took)

    def metrics(self) -> Iterable[Reading]:
        yield d.GATEWAY_REQUESTS, self.requests
        yield d.GATEWAY_ERRORS, self.errors
        yield d.CONNECTIONS_OPENED, self.opened
        yield d.CUT_OFF, self.cut_off
        yield d.LIVE_HOLES, self.holes
        yield d.GATEWAY_SECONDS, self._durations
        yield d.STAGE_SECONDS, {"sent": self._sent}
