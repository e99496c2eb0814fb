"""Whether every ballot that was in the inbox at a deadline has been handled: before that, nobody is missing. Pure.

A ballot that was stored in time counts even if it is decided on later. But what is delivered again, as a submission at
its deadline, comes before what was never delivered; and what an orchestrator had when it died, when its connection
broke, when the log failed it, or what was lost on its way, comes again only after the consumer's ack_wait.
"""

from collections import defaultdict

from msgspec import Struct

from magi.domain.ids import AggregateId
from magi.eventstore.consumers import ACK_WAIT
from magi.eventstore.pull import Delivery

LOOK_AGAIN = 100
"""Milliseconds until the next look whether the ballots before a deadline have come."""
AT_MOST = 30_000
"""Milliseconds that ballots are waited for: the server's count of what waits is all we go by, and neither a wrong one
nor a ballot that fails each time it comes may keep a request open for ever."""
_MARGIN = 500
"""Milliseconds: the server looks for overdue messages in steps."""


class _Times(Struct, frozen=True):
    """When something happened that happened again and again, never long after the time before."""

    first: int = 0
    last: int = 0

    def again(self, now: int) -> "_Times":
        return _Times(self.first if now < self.last + AT_MOST else now, now)


class Arrivals:
    """What has come from each partition. Times are milliseconds since 1970."""

    def __init__(self) -> None:
        self._since: defaultdict[int, _Times] = defaultdict(_Times)
        self._newest: defaultdict[int, int] = defaultdict(int)
        self._number: defaultdict[int, int] = defaultdict(int)
        """Of the last delivery; 0 before the first."""
        self._left: dict[AggregateId, _Times] = {}

    def came(self, partition: int, delivery: Delivery, now: int) -> bool:
        """A message came. Those that were never delivered before come in the order in which they were stored.

        Returns whether none was lost since the last one: deliveries are numbered, and one can be lost between the
        servers of a cluster without our connection breaking. The wake-up at a deadline is a delivery too, so it shows
        in time. The first one of ours shows whether somebody else was let in until now: we may have taken the partition
        and waited, while one who didn't know yet, or was believed dead, read on.
        """
        if delivery.attempt == 1:
            self._newest[partition] = delivery.stored_ms
        before, self._number[partition] = self._number[partition], delivery.number
        if not delivery.number or delivery.number == before + 1:
            return True
        self.interrupted(partition, now)
        return not before

    def interrupted(self, partition: int, now: int) -> None:
        """Somebody else read the partition until now, or something may have been lost on the way to us."""
        self._since[partition] = self._since[partition].again(now)

    def left(self, aggregate: AggregateId, now: int) -> None:
        """A message about a request could not be handled, and will come again."""
        before = self._left.get(aggregate)
        self._left[aggregate] = _Times(before.first if before else now, now)

    def waits(self, aggregate: AggregateId, now: int) -> None:
        """As `left`, for however long it takes."""
        self._left[aggregate] = _Times(now, now)

    def tidy(self, now: int) -> None:
        """Forget what came again long ago."""
        for aggregate, left in list(self._left.items()):
            if left.last < now - AT_MOST:
                del self._left[aggregate]

    def put_off(
        self, partition: int, aggregate: AggregateId, *, pending: int, received: int, deadline: int, now: int
    ) -> int:
        """Milliseconds to wait with a deadline that is over: 0 when every ballot before it was handled.

        `pending` is how many messages the server had for us when it woke us, `received` when the request was received.
        """
        since = self._since[partition]
        left = self._left.get(aggregate, _Times())
        if now >= max(deadline, since.first, left.first) + AT_MOST:
            return 0  # also when the connection breaks every few seconds: each time something may have been lost
        lost = max(left.last, since.last if received < since.last else 0)
        come_again = lost + int(ACK_WAIT * 1000) + _MARGIN
        if now < come_again:
            return come_again - now
        return LOOK_AGAIN if pending and self._newest[partition] < deadline else 0
