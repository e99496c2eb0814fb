"""Ports for servers that are killed and come back: nobody else gets them meanwhile."""

import random
from pathlib import Path

from magi.embedded.ports import free_port, is_free

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LEAST = 10_000
_TRIES = 100


def lasting_port() -> int:
    """A free port that the kernel gives to no outgoing connection, so that it is still free when its server comes back.

    Any free one where there are no such ports.
    """
    try:
        above = int(_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        above = 0
    if above > _LEAST + _TRIES:
        for _ in range(_TRIES):
            port = random.randrange(_LEAST, above)
            if is_free(port):
                return port
    return free_port()
