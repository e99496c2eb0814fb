"""All that was looked at for one frame, as it came in: what a frame is computed from."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from magi.cli.top.frame import UNKNOWN, AlertLine, Server
from magi.cli.top.scraped import Reading
from magi.domain.voter import Voter
from magi.eventstore.presence import Instance


class Registered(Struct, frozen=True):
    """What the bus told: the voters of the directory, and which instances are alive."""

    voters: Mapping[str, Voter]
    instances: Sequence[Instance]


class Seen(Struct, frozen=True, kw_only=True):
    at: float
    """Seconds of a clock that never goes back."""
    wall: float
    """Seconds since 1970."""
    readings: tuple[Reading, ...] = ()
    missing: tuple[str, ...] = ()
    """Parts that ought to be there, and have told nobody where they are scraped."""
    pids: Mapping[str, int] = {}
    """Processes on this machine, by part."""
    registered: Registered | None = None
    """None while NATS doesn't tell."""
    nats: Server = UNKNOWN
    """What NATS itself says, not what the parts say of it."""
    postgres: Server = UNKNOWN
    alerts: tuple[AlertLine, ...] = ()
    source: str = ""
    problem: str = ""
