"""One request as one connection sees it: replay from the log, then live, without a hole and without a duplicate."""

from msgspec import Struct

from magi.domain.ids import AggregateId, RequestId

LONGEST_QUIET = 64
"""Looks: five minutes."""


class Tracker(Struct, eq=False):
    """How far a connection has been told of a request. Pure: says what is to be done, does nothing itself."""

    aggregate: AggregateId
    request_id: RequestId
    asked: str = ""
    """Digest of the submission that this connection sent and that nothing has answered yet; else empty."""
    asked_at: float = 0.0
    """When it was sent, by the loop's clock."""
    trace: str = ""
    """The `traceparent` of the submission that this connection sent last; empty if it sent none."""
    content: str = ""
    """Digest of what is stored under the `request_id`; empty while that isn't known."""
    resumed: bool = False
    """Whether the client asked for the events by `resume`: then they are told, whatever their content."""
    position: int = 0
    """The `seq` of the last event told."""
    seen: int = 0
    """The highest `seq` known to exist."""
    doubt: bool = False
    """Whether live events may have been missed, so that only the log can tell."""
    final: bool = False
    """Whether the last event was the verdict: nothing comes after it."""
    reading: int = 0
    """The reading of the log that is under way; 0: none, live events are told as they come."""
    readings: int = 0
    """How many were begun. They are numbered, so that one that was overtaken by a later one knows it."""
    quiet: int = 0
    """How often `look` was called since an event was told."""

    def read(self) -> int:
        """The log is about to be read from the position on: returns the reading's number."""
        self.doubt = False
        self.readings += 1
        self.reading = self.readings
        return self.reading

    def rewind(self, after_seq: int) -> int:
        """The log is about to be read from behind `after_seq` on, whatever was told before: like `read`."""
        self.position = after_seq
        self.final = False
        return self.read()

    def stop(self) -> None:
        """Nothing more is to be told."""
        self.readings += 1
        self.reading = self.readings

    def exists(self) -> None:
        """There is at least the first event."""
        self.seen = max(self.seen, 1)

    def learn(self, content: str) -> bool:
        """The digest of what is stored is known now: whether it is what this connection submitted, if it did.

        Answers False once: the submission has its answer then.
        """
        self.content = content
        asked, self.asked = self.asked, ""
        return asked in ("", content)

    def live(self, seq: int) -> bool:
        """An event came live: whether to tell it now. When not, `behind` says whether the log must be read."""
        self.seen = max(self.seen, seq)
        return not self.reading and seq == self.position + 1

    def stored(self, reading: int, seq: int) -> bool:
        """A reading got to this event: whether to tell it."""
        self.seen = max(self.seen, seq)
        return reading == self.reading and seq == self.position + 1

    def told(self, seq: int, *, final: bool) -> None:
        """This event was sent to the client."""
        self.position = seq
        self.final = final
        self.quiet = 0

    def look(self) -> None:
        """Called now and then. A live event that is lost shows by the next one; the last one has none.

        So the log is read when nothing came for 1, 2, 4 … `LONGEST_QUIET` looks, and after as many again: whoever waits
        is told at most twice as late, and requests that wait for a day cost next to nothing.
        """
        self.quiet += 1
        if self.quiet & (self.quiet - 1) == 0 or self.quiet % LONGEST_QUIET == 0:
            self.doubt = True

    def done(self, reading: int) -> bool:
        """A reading has ended: whether it was the one that counts, and live events are told again."""
        if reading != self.reading:
            return False
        self.reading = 0
        return True

    @property
    def behind(self) -> bool:
        """Whether the log must be read: there are, or may be, events that neither were told nor are being read."""
        return not self.reading and (self.doubt or self.seen > self.position)
