"""What `magi top` shows at one moment, as data: what `--json` prints, and what the lines are drawn from."""

from typing import Literal

from msgspec import Struct

Level = Literal["good", "unknown", "notice", "warning", "critical"]
LEVELS: tuple[Level, ...] = ("good", "unknown", "notice", "warning", "critical")
"""The more to the right, the more attention."""


class Server(Struct, frozen=True):
    """NATS or Postgres."""

    level: Level
    says: str
    """In a word or two: ``up``, ``down``, ``3 of 4 parts``."""


UNKNOWN = Server("unknown", "not known")


class Header(Struct, frozen=True):
    """Where a figure is None, nobody tells it."""

    at: str
    """RFC 3339."""
    source: str
    """The data directory, or the addresses, that it is about."""
    problem: str
    """Why nothing else may be there to be seen; empty when something is."""
    versions: tuple[str, ...]
    """Of the parts; more than one during an upgrade."""
    up_seconds: float | None
    """Since the oldest part was started."""
    nats: Server
    postgres: Server
    storage_bytes: float | None
    """What all streams take up, and may."""
    storage_limit: float | None
    disk_free: float | None
    disk_size: float | None


class Shares(Struct, frozen=True):
    """How something counted is divided; recently, or, where nothing was of late, since the parts were started."""

    counts: dict[str, float]
    recent: bool

    def share(self, name: str) -> float | None:
        """0 to 1; None of nothing."""
        every = sum(self.counts.values())
        return self.counts.get(name, 0.0) / every if every else None


class Requests(Struct, frozen=True):
    """Rates are a second; None when no orchestrator answers."""

    received: float | None
    decided: float | None
    open: float | None
    overdue: float | None
    oldest_seconds: float | None
    """Age of the oldest message in the inbox: the oldest open request."""
    verdicts: Shares
    decided_by: Shares
    errors: dict[str, float]
    """How many errors clients were sent in the last minutes, by code."""


class Latency(Struct, frozen=True):
    """One duration, in seconds; None when there was none, ever."""

    name: str
    trend: str
    """The name of its trend, in the recorder."""
    p50: float | None
    """Estimated from a histogram, as all quantiles here: it lies in the right bucket, and where in it is a guess."""
    p99: float | None
    per_second: float
    recent: bool
    """Of the last minute; else since the parts were started."""


class VoterLine(Struct, frozen=True):
    """A voter that isn't revoked. Where a figure is None, nobody tells it."""

    name: str
    level: Level
    why: str
    """Why it needs attention; empty when it doesn't."""
    status: str
    """``active``, ``suspended`` or, when neither orchestrator nor directory answers, empty."""
    kind: str
    instances: int | None
    in_flight: int | None
    """Tasks that its instances have open; without them, tasks that were taken and not answered."""
    capacity: int | None
    waiting: int | None
    """Tasks that nobody has taken."""
    per_second: float
    """Votes."""
    votes: Shares
    p50: float | None
    p95: float | None
    missing: int
    """Deadlines that passed without its vote in the last minutes."""
    failed: int
    """Tasks that it could not judge in the last minutes."""
    last_vote: float | None
    """Seconds since a vote of it was last counted; None when that was before anybody looked."""
    ever: bool
    """Whether any vote of it has been counted since the orchestrators were started."""


class Partition(Struct, frozen=True):
    number: str
    owner: str
    """Empty: nobody's."""
    untaken: int | None
    put_off: int | None


class Stream(Struct, frozen=True):
    name: str
    messages: int
    bytes: int
    used: float | None
    """Share of its limit, 0 to 1; None without a limit."""
    oldest_seconds: float | None
    missing: int


class Projection(Struct, frozen=True):
    name: str
    level: Level
    says: str
    """``running``, ``standing``, ``halted`` or ``not watched``."""
    lag: int | None
    """Messages."""
    behind_seconds: float | None
    """Since it was last at the end of its stream; 0 while it is."""


class Backlog(Struct, frozen=True):
    partitions: tuple[Partition, ...]
    streams: tuple[Stream, ...]
    projections: tuple[Projection, ...]
    untaken: int | None
    """Messages in the inbox that nobody has taken, and tasks."""
    tasks_untaken: int | None
    tasks_at_work: int | None
    tasks_oldest_seconds: float | None
    redelivered: int
    """Ballots and tasks that came again, and messages that were left, in the last minutes."""


class Clients(Struct, frozen=True):
    """What the gateways are connected to."""

    initiators: int | None
    voters: int | None
    cut_off: int
    """In the last minutes."""
    queued_bytes: int | None
    longest_queue_bytes: int | None
    live_holes: int


class PartLine(Struct, frozen=True):
    """One part's process."""

    part: str
    address: str
    level: Level
    says: str
    """``up``, or why not."""
    pid: int | None
    up_seconds: float | None
    cpu: float | None
    """Processors: 1 is one of them, all of the time."""
    memory_bytes: float | None
    loop_lag: float | None
    """p99 of the last minute, in seconds."""
    nats_connected: bool | None
    reconnects: int | None


class AlertLine(Struct, frozen=True):
    name: str
    state: str
    """``pending`` or ``firing``."""
    severity: str
    for_seconds: float
    """How long it has been so."""
    labels: dict[str, str]
    summary: str


class Frame(Struct, frozen=True):
    header: Header
    alerts: tuple[AlertLine, ...]
    requests: Requests
    latencies: tuple[Latency, ...]
    voters: tuple[VoterLine, ...]
    """What needs attention first."""
    backlog: Backlog
    clients: Clients
    parts: tuple[PartLine, ...]
