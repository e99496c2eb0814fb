"""One request as one connection sees it: replay from the log, then live, without a hole and without a duplicate."""

from msgspec import Struct

from magi.domain.ids import AggregateId, RequestId


class Tracker(Struct, eq=False):
    """How far a connection has been told of a request. Pure: says what is to be done, does nothing itself."""

    aggregate: AggregateId
    request_id: RequestId
    digest: str = ""
    """Of the submission that this connection sent and that no event answered yet; else empty."""
    position: int = 0
    """The `seq` of the last event sent."""
    seen: int = 0
    """The highest `seq` known to exist."""
    loading: bool = False
    """Whether the log is being read: live events only say that there is more to read."""
    final: bool = False
    """Whether the last event was the verdict: nothing comes after it."""

    def rewind(self, after_seq: int) -> None:
        """Begin anew behind `after_seq`, from the log."""
        self.position = after_seq
        self.final = False
        self.loading = True

    def live(self, seq: int) -> bool:
        """An event came live: whether to send it now. When not, `behind` says whether the log must be read."""
        self.seen = max(self.seen, seq)
        return not self.loading and seq == self.position + 1

    @property
    def behind(self) -> bool:
        """Whether there are events that neither were sent nor are being read."""
        return not self.loading and self.seen > self.position

    def sent(self, seq: int, *, final: bool) -> None:
        self.position = seq
        self.seen = max(self.seen, seq)
        self.final = final
        self.digest = ""
