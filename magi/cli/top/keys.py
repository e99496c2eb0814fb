"""From what a terminal sends to names of keys. Pure."""

import re

_NAMED = {
    b"\x1b[A": "up",
    b"\x1b[B": "down",
    b"\x1b[C": "right",
    b"\x1b[D": "left",
    b"\x1bOA": "up",
    b"\x1bOB": "down",
    b"\x1bOC": "right",
    b"\x1bOD": "left",
    b"\x1b[Z": "backtab",
    b"\x1b[5~": "pageup",
    b"\x1b[6~": "pagedown",
    b"\x1b[H": "home",
    b"\x1b[1~": "home",
    b"\t": "tab",
    b"\x1b": "escape",
}
_KEY = re.compile(rb"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1bO.|[\x00-\xff]", re.DOTALL)


def keys(data: bytes) -> list[str]:
    """The keys in what was read at once: a name, or the character itself. What is neither is left out."""
    found = []
    for one in _KEY.findall(data):
        if one in _NAMED:
            found.append(_NAMED[one])
        elif len(one) == 1 and 0x20 <= one[0] < 0x7F:
            found.append(one.decode())
    return found
