"""What was seen before, in bounded memory: event ids exactly, aggregates with rare false alarms."""

import hashlib

_PAGE = 10
"""An event id ends in a counter: a page holds 1,024 of them in one integer, about a fifth of a byte an id."""
_BITS = 27
_HASHES = 4


class SeenIds:
    """Event ids, each ``<process>-<counter>`` in hex. Other ids are kept as they are."""

    def __init__(self) -> None:
        self._pages: dict[tuple[str, int], int] = {}
        self._others: set[str] = set()

    def add(self, event_id: str) -> bool:
        """Whether it is new."""
        process, _, counter = event_id.rpartition("-")
        number = _hex(counter)
        if number is None:
            if event_id in self._others:
                return False
            self._others.add(event_id)
            return True
        key, bit = (process, number >> _PAGE), 1 << (number & ((1 << _PAGE) - 1))
        page = self._pages.get(key, 0)
        self._pages[key] = page | bit
        return not page & bit


def _hex(text: str) -> int | None:
    # The canonical form only: "0A" and "a" are two ids.
    try:
        number = int(text, 16)
    except ValueError:
        return None
    return number if f"{number:x}" == text else None


class SeenAggregates:
    """A Bloom filter of 16 MiB.

    After a million requests one in a million is held for a known one, after ten million one in 230. Whoever is told
    that one was seen looks it up: an exact set would take 100 MB a million requests.
    """

    def __init__(self) -> None:
        self._bits = bytearray(1 << (_BITS - 3))

    def add(self, aggregate: str) -> bool:
        """Whether it is certainly new; it may be so too when the answer is no."""
        digest = hashlib.blake2b(aggregate.encode("utf-8", "surrogatepass"), digest_size=4 * _HASHES).digest()
        new = False
        for start in range(0, 4 * _HASHES, 4):
            place = int.from_bytes(digest[start : start + 4], "big") & ((1 << _BITS) - 1)
            if not self._bits[place >> 3] & (1 << (place & 7)):
                self._bits[place >> 3] |= 1 << (place & 7)
                new = True
        return new
