"""When clients are to come back that a stopping gateway sends away: not all at once. How it is said, and read. Pure.

The close frame's reason says it, not a message: a client with its token in a header gets nothing but answers.
"""

import re
from random import Random

RECONNECTS_PER_SECOND = 500
"""Handshakes that the gateways which stay can be asked for: a third of what one core was measured to do (1,500/s with
TLS off, tokens looked up and the hub joined)."""
LEAST_SPREAD_MS = 1000
"""Over which even a few come back: the other gateways have their own clients' requests to see to."""
_SAID = re.compile(r"going away, retry_after_ms=([0-9]{1,7})")


def retry_times(count: int, random: Random) -> list[int]:
    """For each of so many clients after how many milliseconds it is to connect again: evenly spread, in any order."""
    span = max(LEAST_SPREAD_MS, count * 1000 / RECONNECTS_PER_SECOND)
    times = [int((turn + random.random()) * span / count) for turn in range(count)]
    random.shuffle(times)
    return times


def reason(retry_after_ms: int) -> str:
    """The reason of the close frame (at most 123 bytes, RFC 6455)."""
    return f"going away, retry_after_ms={retry_after_ms}"


def retry_after(reason: str) -> float:
    """The seconds that the reason of a close frame asks us to wait; 0 when it says nothing of that."""
    found = _SAID.fullmatch(reason)
    return int(found[1]) / 1000 if found else 0.0
