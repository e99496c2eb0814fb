"""A stream of the simulated nats-server: what it stores, refuses, forgets, and takes for a duplicate."""

import heapq
from bisect import bisect_left, insort
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from msgspec import Struct

Headers = dict[str, str]


class ApiError(Exception):
    """What the server answers when it refuses."""

    def __init__(self, code: int, err_code: int, description: str) -> None:
        super().__init__(description)
        self.body = {"code": code, "err_code": err_code, "description": description}


class Stored(Struct):
    seq: int
    subject: str
    data: bytes
    headers: Headers
    time: int
    """When it was stored, in nanoseconds since 1970."""
    expires: int
    """When it is forgotten; 0: never."""


@lru_cache(maxsize=65536)
def matches(pattern: str, subject: str) -> bool:
    """Whether a subject is one of those that a filter names."""
    wanted, tokens = pattern.split("."), subject.split(".")
    for number, token in enumerate(wanted):
        if token == ">":
            return len(tokens) > number
        if number >= len(tokens) or token not in ("*", tokens[number]):
            return False
    return len(wanted) == len(tokens)


class Stream:
    """`now` is always in nanoseconds since 1970."""

    def __init__(self, config: dict[str, Any], now: int, created: str) -> None:
        self.config = config
        self.name: str = config["name"]
        self.created = created
        self.last_seq = 0
        self.messages: dict[int, Stored] = {}
        self._order: list[int] = []
        self._by_subject: dict[str, list[int]] = {}
        self._ids: dict[str, tuple[int, int]] = {}
        """Message ids: the sequence and the time of the first one."""
        self._dying: list[tuple[int, int]] = []

    def takes(self, subject: str) -> bool:
        return any(matches(pattern, subject) for pattern in self.config["subjects"])

    @property
    def work_queue(self) -> bool:
        return bool(self.config.get("retention") == "workqueue")

    # --- Storing ------------------------------------------------------------------------------------------------------

    def store(self, subject: str, data: bytes, headers: Headers, now: int) -> tuple[Stored, bool]:
        """The message as it is stored, and whether it was there before. Raises ApiError."""
        self.expire(now)
        config = self.config
        size = len(data) + sum(len(k) + len(v) + 4 for k, v in headers.items())
        if 0 < config.get("max_msg_size", -1) < size:
            raise ApiError(400, 10054, "message size exceeds maximum allowed")
        expected = headers.get("Nats-Expected-Last-Subject-Sequence")
        if expected is not None:
            last = self._by_subject.get(subject)
            actual = last[-1] if last else 0
            if str(actual) != expected:
                raise ApiError(400, 10071, f"wrong last sequence: {actual}")
        name = headers.get("Nats-Msg-Id", "")
        if name:
            first = self._ids.get(name)
            if first and now - first[1] < config.get("duplicate_window", 120 * 10**9):
                return Stored(first[0], subject, b"", {}, first[1], 0), True
        self._make_room(subject)
        self.last_seq += 1
        ttl = headers.get("Nats-TTL", "")
        lives = int(ttl.rstrip("s")) * 10**9 if ttl and config.get("allow_msg_ttl") else 0
        ages = [age for age in (config.get("max_age", 0), lives) if age]
        found = Stored(self.last_seq, subject, data, headers, now, now + min(ages) if ages else 0)
        self.messages[found.seq] = found
        self._order.append(found.seq)
        self._by_subject.setdefault(subject, []).append(found.seq)
        if found.expires:
            heapq.heappush(self._dying, (found.expires, found.seq))
        if name:
            self._ids[name] = (found.seq, now)
        return found, False

    def _make_room(self, subject: str) -> None:
        config = self.config
        most = config.get("max_msgs_per_subject", -1)
        there = self._by_subject.get(subject, ())
        if 0 < most <= len(there):
            if config.get("discard_new_per_subject"):
                raise ApiError(400, 10077, "maximum messages per subject exceeded")
            self.remove(there[0])
        if 0 < config.get("max_msgs", -1) <= len(self.messages):
            raise ApiError(400, 10077, "maximum messages exceeded")

    def remove(self, seq: int) -> None:
        found = self.messages.pop(seq, None)
        if found is None:
            return
        del self._order[bisect_left(self._order, seq)]
        left = self._by_subject[found.subject]
        left.remove(seq)
        if not left:
            del self._by_subject[found.subject]

    def bring_back(self, message: Stored) -> None:
        """A server that was killed may have forgotten that it removed something."""
        if message.seq not in self.messages:
            self.messages[message.seq] = message
            insort(self._order, message.seq)
            insort(self._by_subject.setdefault(message.subject, []), message.seq)

    def expire(self, now: int) -> None:
        while self._dying and self._dying[0][0] <= now:
            self.remove(heapq.heappop(self._dying)[1])

    def restart(self) -> None:
        """Of the ids only those are known whose messages are still there."""
        self._ids = {i: (seq, at) for i, (seq, at) in self._ids.items() if seq in self.messages}

    # --- Reading ------------------------------------------------------------------------------------------------------

    def first_from(self, seq: int, pattern: str = ">") -> Stored | None:
        return next(self.all_from(seq, pattern), None)

    def all_from(self, seq: int, pattern: str = ">") -> Iterator[Stored]:
        literal = "*" not in pattern and ">" not in pattern
        order = self._by_subject.get(pattern, []) if literal else self._order
        for number in order[bisect_left(order, seq) :]:
            message = self.messages[number]
            if pattern == ">" or order is not self._order or matches(pattern, message.subject):
                yield message

    def count_from(self, seq: int, pattern: str = ">") -> int:
        if pattern == ">":
            return len(self._order) - bisect_left(self._order, seq)
        return sum(1 for _ in self.all_from(seq, pattern))

    def last_of(self, patterns: list[str]) -> list[Stored]:
        """The last message on each subject, in the order of their sequences."""
        found = {
            seqs[-1]
            for subject, seqs in self._by_subject.items()
            if any(matches(pattern, subject) for pattern in patterns)
        }
        return [self.messages[seq] for seq in sorted(found)]

    def subjects(self, pattern: str) -> dict[str, int]:
        """How many messages each subject has."""
        return {s: len(seqs) for s, seqs in sorted(self._by_subject.items()) if matches(pattern, s)}

    def info(self) -> dict[str, Any]:
        first = self._order[0] if self._order else self.last_seq + 1 if self.last_seq else 0
        return {
            "messages": len(self._order),
            "bytes": sum(len(m.data) for m in self.messages.values()),
            "first_seq": first,
            "last_seq": self.last_seq,
        }
