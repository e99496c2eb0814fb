"""One request as its client sees it: what to send, what an arriving frame means. Pure; the I/O is in `submit_client`.

A connection may break at any time. Until the first event has come the request is sent again, which is safe; from then
on the rest is asked for by `resume`, from the last `seq` on.
"""

from typing import Any

import msgspec
from msgspec import Struct


class Acknowledged(Struct, frozen=True, tag="acknowledged"):
    """The messages of PROTOCOL §1, as far as a client needs them."""

    request_id: str
    seq: int
    at: str
    voters: tuple[str, ...] = ()
    deadline: str = ""


class VoterProgress(Struct, frozen=True, tag="voter_progress"):
    request_id: str
    seq: int
    at: str
    voter_id: str
    status: str


class VoterResult(Struct, frozen=True, tag="voter_result"):
    request_id: str
    seq: int
    at: str
    voter_id: str
    vote: str
    reason: str | None = None
    confidence: float | None = None


class FinalResult(Struct, frozen=True, tag="final_result"):
    request_id: str
    seq: int
    at: str
    final_vote: str
    details: dict[str, str] = {}
    strategy: str = ""
    decided_by: str = ""
    outcome_reason: str = ""
    tally: dict[str, int] = {}


Event = Acknowledged | VoterProgress | VoterResult | FinalResult


class Refusal(Struct, frozen=True):
    """An `error` message."""

    code: str = "internal"
    message: str = ""
    retryable: bool = False
    retry_after_ms: int = 1000
    trace_id: str = ""
    """Where to look for it in the gateway's log, when the fault is MAGI's."""

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" + (f" (trace {self.trace_id})" if self.trace_id else "")


class _Peek(Struct, frozen=True):
    type: str = ""
    request_id: Any = None
    seq: int = 0


# --- What a frame asks its receiver to do -----------------------------------------------------------------------------


class Show(Struct, frozen=True):
    """The next event of the request, and the frame that it came in. `event` is None for a type of a later version."""

    frame: str
    event: Event | None


class Say(Struct, frozen=True):
    """Send this, after so many seconds."""

    frame: str
    after: float = 0.0
    why: str = ""


class End(Struct, frozen=True):
    """The request can't be had: it ends here."""

    frame: str
    refusal: Refusal


Step = Show | Say | End

_peek = msgspec.json.Decoder(_Peek).decode
_event = msgspec.json.Decoder(Event).decode
_refusal = msgspec.json.Decoder(Refusal).decode
_EVENTS = frozenset({"acknowledged", "voter_progress", "voter_result", "final_result"})
LONGEST_PAUSE = 5.0
"""Seconds. The tenth error in a row ends a connection for good: pauses that double up to here outlast any deadline of
less than half a minute, and every success in between starts the count anew."""


class NotUnderstood(Exception):
    """What came is no message of the protocol: there is something else at this address."""


class Conversation:
    """Tells what to do, frame by frame, and remembers how far the request has come."""

    def __init__(self, request_id: str, request: str) -> None:
        """`request` is the message that submits it."""
        self.request_id = request_id
        self.last = 0
        """The `seq` of the last event shown."""
        self.verdict: FinalResult | None = None
        self._request = request
        self._retries = 0

    @property
    def opening(self) -> str:
        """What to send first on a new connection."""
        return self._resume() if self.last else self._request

    def take(self, frame: str) -> Step | None:
        """What to do about a frame; None: nothing. Raises NotUnderstood."""
        try:
            peek = _peek(frame)
            if peek.type == "error":
                return self._error(frame, _refusal(frame))
            if peek.request_id != self.request_id or peek.seq < 1:
                return None
            event = _event(frame) if peek.type in _EVENTS else None
        except (msgspec.DecodeError, UnicodeError) as error:
            raise NotUnderstood(f"expected a message of MAGI's protocol: {error}") from None
        self._retries = 0
        if peek.seq <= self.last:
            return None
        if peek.seq > self.last + 1:
            return Say(self._resume(), why="events were missed")
        self.last = peek.seq
        if isinstance(event, FinalResult):
            self.verdict = event
        return Show(frame, event)

    def _error(self, frame: str, refusal: Refusal) -> Step:
        if refusal.code == "unknown_request" and self.last:
            # Acknowledged, and gone: another log is behind the gateway now. Submitting it anew is what is left.
            self.last = 0
            return Say(self._request, why="the gateway doesn't know the request any more: submitting it anew")
        if not refusal.retryable:
            return End(frame, refusal)
        pause = min(max(refusal.retry_after_ms / 1000, 0.1) * 2**self._retries, LONGEST_PAUSE)
        self._retries += 1
        return Say(self.opening, after=pause, why=str(refusal))

    def _resume(self) -> str:
        message = {"type": "resume", "request_id": self.request_id, "after_seq": self.last}
        return msgspec.json.encode(message).decode()
