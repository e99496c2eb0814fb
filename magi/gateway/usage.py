"""What Initiators use of this gateway, and what the other gateways say that they use of them. No I/O."""

from collections.abc import Iterable, Iterator

from msgspec import Struct

from magi.domain.ids import InitiatorId
from magi.gateway.rate import Bucket

SILENT = 4
"""Heartbeats that a gateway may miss before it is taken to be gone."""
CHUNK = 5000
"""Initiators in one report: a name and three numbers are 100 bytes at most, and NATS takes a MiB."""


class Use(Struct, frozen=True, array_like=True):
    """What an Initiator uses of one gateway."""

    asked: float = 0.0
    """Requests a second, those that were refused too."""
    open: int = 0
    """Requests without a verdict."""
    connections: int = 0


NOTHING = Use()


class Report(Struct, frozen=True):
    """What a gateway tells the others. Initiators that are in none of its reports use nothing of it."""

    gateway: str
    uses: dict[InitiatorId, Use]
    whole: bool = True
    """Whether what it said before is void; else only what it says now is."""
    leaves: bool = False


class Account:
    """An Initiator at this gateway."""

    def __init__(self) -> None:
        self.connections = 0
        self.open = 0
        self.bucket: Bucket | None = None
        """What is left of this gateway's share of the requests a second; None without a quota."""
        self._asked = 0
        self._last = 0.0
        self._before = 0.0

    def ask(self) -> None:
        """A request came, whether it is refused or not."""
        self._asked += 1

    def beat(self, seconds: float) -> None:
        """That many seconds are over since the last time."""
        self._before, self._last, self._asked = self._last, self._asked / seconds, 0

    @property
    def use(self) -> Use:
        # The higher of two: requests come unevenly, and a share that follows every pause refuses who comes after it.
        return Use(max(self._before, self._last), self.open, self.connections)

    @property
    def idle(self) -> bool:
        """Whether nothing has to be remembered of it."""
        used = self._asked or self.use != NOTHING
        return not used and (self.bucket is None or self.bucket.full)


class Peers:
    """The other gateways, by what they reported last."""

    def __init__(self) -> None:
        self._uses: dict[str, dict[InitiatorId, Use]] = {}
        self._missed: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._uses)

    def hear(self, report: Report) -> bool:
        """Take in a report. Returns whether it is the first of this gateway."""
        if report.leaves:
            self._forget(report.gateway)
            return False
        new = report.gateway not in self._uses
        self._missed[report.gateway] = 0
        if report.whole or new:
            self._uses[report.gateway] = dict(report.uses)
        else:
            self._uses[report.gateway].update(report.uses)
        return new

    def beat(self) -> None:
        """A heartbeat's time is over, in which we could hear them: forget those of whom nothing came for `SILENT`.

        Times and not seconds: while we can't hear anybody, nobody is taken to be gone.
        """
        for gateway in list(self._missed):
            self._missed[gateway] += 1
            if self._missed[gateway] > SILENT:
                self._forget(gateway)

    def uses(self, initiator: InitiatorId) -> list[Use]:
        """What an Initiator uses of each."""
        return [uses.get(initiator, NOTHING) for uses in self._uses.values()]

    def _forget(self, gateway: str) -> None:
        self._uses.pop(gateway, None)
        self._missed.pop(gateway, None)


def reports(gateway: str, uses: Iterable[tuple[InitiatorId, Use]]) -> Iterator[Report]:
    """Everything that a gateway has to tell, in messages that fit into NATS."""
    used = [(initiator, use) for initiator, use in uses if use != NOTHING]
    yield Report(gateway, dict(used[:CHUNK]))
    for start in range(CHUNK, len(used), CHUNK):
        yield Report(gateway, dict(used[start : start + CHUNK]), whole=False)
