"""A pull consumer of the simulated nats-server: who gets what, when it comes again, and who may read."""

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from tests.simulation.stream import Stored, Stream

if TYPE_CHECKING:
    from tests.simulation.server import Server


class Pull(Struct, eq=False):
    """A request that waits for messages."""

    inbox: str
    left: int
    pin: str
    timer: asyncio.TimerHandle | None = None


class Pending(Struct):
    """A message that was delivered and not acknowledged."""

    due: float
    """When it comes again, by the loop's clock."""
    deliveries: int
    queued: bool = False
    """It is in the queue of those that come again."""
    delayed: bool = False


class _Asked(Struct):
    batch: int = 1
    expires: int = 0
    no_wait: bool = False
    group: str = ""
    id: str = ""


class Consumer:
    def __init__(self, server: "Server", stream: Stream, name: str, config: dict[str, Any]) -> None:
        self._server = server
        self._stream = stream
        self.name = name
        self.config = config
        self.filter: str = config.get("filter_subject") or ">"
        self._acks = config.get("ack_policy", "explicit") == "explicit"
        self._ack_wait = config.get("ack_wait", 30 * 10**9) / 1e9
        self._most: int = config.get("max_ack_pending", 1000)
        self._pinned = config.get("priority_policy") == "pinned_client"
        self._pin_for = config.get("priority_timeout", 0) / 1e9
        self.next_seq: int = config.get("opt_start_seq", 1)
        """In the stream: what was never delivered begins here."""
        self.pending: dict[int, Pending] = {}
        self.waiting: list[Pull] = []
        self._again: list[int] = []
        self._said: list[tuple[int, bytes]] = []
        """What came to the reply subjects, and wasn't looked at yet."""
        self._delivered = 0
        self.pin = ""
        self._pin_timer: asyncio.TimerHandle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    # --- Asking -------------------------------------------------------------------------------------------------------

    def ask(self, inbox: str, body: bytes) -> None:
        """$JS.API.CONSUMER.MSG.NEXT"""
        asked = msgspec.json.decode(body or b"{}", type=_Asked)
        if self._pinned:
            if not asked.group:
                self._server.status(inbox, 400, "Bad Request - Priority Group missing")
                return
            if asked.id and asked.id != self.pin:
                self._server.status(inbox, 423, "Nats-Pin-Id mismatch")
                return
            if asked.id:
                self._keep_pin()
        pull = Pull(inbox, asked.batch, asked.id)
        if asked.expires:
            pull.timer = self._server.call(asked.expires / 1e9, self._expired, pull)
        self.waiting.append(pull)
        self.pump()
        if asked.no_wait and pull in self.waiting:
            self._end(pull, 404, "No Messages")

    def _expired(self, pull: Pull) -> None:
        if pull in self.waiting:
            self._end(pull, 408, "Request Timeout")

    def _end(self, pull: Pull, status: int, why: str) -> None:
        self._remove(pull)
        self._server.status(
            pull.inbox, status, why, {"Nats-Pending-Messages": str(pull.left), "Nats-Pending-Bytes": "0"}
        )

    def _remove(self, pull: Pull) -> None:
        self.waiting.remove(pull)
        if pull.timer:
            pull.timer.cancel()

    def _reader(self) -> Pull | None:
        """Whose turn it is. Whoever has asked and isn't there any more is forgotten."""
        for pull in tuple(self.waiting):
            if not self._server.listens(pull.inbox):
                self._remove(pull)
            elif not self._pinned:
                return pull
            elif not self.pin and not pull.pin:
                self.pin = pull.pin = self._server.new_id()
                self._keep_pin()
                return pull
            elif pull.pin == self.pin:
                return pull
            elif pull.pin:
                self._end(pull, 423, "Nats-Wrong-Pin-Id")
        return None

    # --- Pins ---------------------------------------------------------------------------------------------------------

    def _keep_pin(self) -> None:
        if self._pin_timer:
            self._pin_timer.cancel()
        self._pin_timer = self._server.call(self._pin_for, self.unpin)

    def unpin(self) -> None:
        self.pin = ""
        if self._pin_timer:
            self._pin_timer.cancel()
            self._pin_timer = None
        self.pump()

    # --- Delivering ---------------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Deliver what there is to whoever waits."""
        self._stream.expire(self._server.now())
        while self.waiting:
            message, again = self._message()
            if message is None:
                return
            pull = self._reader()
            if pull is None:
                return
            if again:
                self._again.pop(0)
            else:
                self.next_seq = message.seq + 1
            self._deliver(pull, message)

    def _message(self) -> tuple[Stored | None, bool]:
        """What comes next, and whether it was delivered before."""
        while self._again:
            seq = self._again[0]
            if seq in self.pending and seq in self._stream.messages:
                return self._stream.messages[seq], True
            self._again.pop(0)
            self.pending.pop(seq, None)
        if 0 < self._most <= len(self.pending):
            return None, False
        return self._stream.first_from(self.next_seq, self.filter), False

    def _deliver(self, pull: Pull, message: Stored) -> None:
        self._delivered += 1
        deliveries = 1
        if self._acks:
            known = self.pending.get(message.seq)
            deliveries = known.deliveries + 1 if known else 1
            self.pending[message.seq] = Pending(self._server.time() + self._ack_wait, deliveries)
            self._set_timer(self.pending[message.seq].due)
            if known:
                self._server.seen["redelivery"] += 1
        reply = (
            f"$JS.ACK.{self._stream.name}.{self.name}.{deliveries}.{message.seq}.{self._delivered}.{message.time}."
            f"{self._stream.count_from(self.next_seq, self.filter)}"
        )
        headers = {**message.headers, "Nats-Pin-Id": pull.pin} if self._pinned else message.headers
        pull.left -= 1
        self._remove_or_rotate(pull)
        self._server.deliver(pull.inbox, message.subject, reply, headers, message.data)

    def _remove_or_rotate(self, pull: Pull) -> None:
        if pull.left <= 0:
            self._remove(pull)
        else:
            self.waiting.remove(pull)
            self.waiting.append(pull)

    # --- Acknowledging ------------------------------------------------------------------------------------------------

    def acknowledge(self, seq: int, body: bytes) -> None:
        """What came to the reply subject of a delivery. It is looked at a moment later, as by the real one."""
        if not self._said:
            self._server.call(self._server.lateness() / 20, self._hear)
        self._said.append((seq, body))

    def _hear(self) -> None:
        said, self._said = self._said, []
        for seq, body in said:
            self._acknowledge(seq, body)

    def _acknowledge(self, seq: int, body: bytes) -> None:
        known = self.pending.get(seq)
        if known is None:
            return
        word, _, rest = body.partition(b" ")
        if word in (b"", b"+ACK", b"+TERM"):
            del self.pending[seq]
            if self._stream.work_queue:
                self._stream.remove(seq)
            self.pump()
        elif word == b"+WPI":
            known.due = self._server.time() + self._ack_wait
            known.queued = False
            if seq in self._again:
                self._again.remove(seq)
            self._set_timer(known.due)
        elif word == b"-NAK":
            delay = msgspec.json.decode(rest)["delay"] / 1e9 if rest else 0.0
            if delay:
                known.due, known.queued, known.delayed = self._server.time() + delay, False, True
                if seq in self._again:
                    self._again.remove(seq)
                self._set_timer(known.due)
            elif not known.queued:
                known.queued = True
                self._again.append(seq)
                self.pump()

    def _set_timer(self, at: float) -> None:
        if self._timer and self._timer_at <= at:
            return
        if self._timer:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._server.call(max(0.0, at - self._server.time()), self._look)

    def _look(self) -> None:
        """Whatever is overdue comes again."""
        self._timer = None
        now = self._server.time()
        for seq in sorted(seq for seq, one in self.pending.items() if not one.queued and one.due <= now):
            self.pending[seq].queued = True
            self._again.append(seq)
        left = [one.due for one in self.pending.values() if not one.queued]
        if left:
            # As seen of the real one: some milliseconds late, never early.
            self._set_timer(min(left) + self._server.lateness())
        self.pump()

    def deliver_again(self) -> None:
        """Whatever is under way, timers aside: as when another server of a cluster takes the lead."""
        for one in self.pending.values():
            if not one.delayed:
                one.due = self._server.time()
        if self.pending:
            self._set_timer(self._server.time())

    # --- Ends ---------------------------------------------------------------------------------------------------------

    def delete(self) -> None:
        self._stop()
        for pull in tuple(self.waiting):
            self._remove(pull)
            self._server.status(pull.inbox, 409, "Consumer Deleted")

    def _stop(self) -> None:
        for timer in (self._timer, self._pin_timer, *(pull.timer for pull in self.waiting)):
            if timer:
                timer.cancel()
        self._timer = self._pin_timer = None

    def restart(self, early: float) -> None:
        """The server was killed and is back: who waited is forgotten, timers may be up to a second early."""
        self._stop()
        self.waiting.clear()
        self.pin = ""
        self._again.clear()
        self._said.clear()
        for one in self.pending.values():
            one.queued = False
            one.due -= early
        if self.pending:
            self._set_timer(min(one.due for one in self.pending.values()))

    def info(self) -> dict[str, Any]:
        return {
            "stream_name": self._stream.name,
            "name": self.name,
            "config": self.config,
            "num_ack_pending": len(self.pending),
            "num_redelivered": sum(1 for one in self.pending.values() if one.deliveries > 1),
            "num_waiting": len(self.waiting),
            "num_pending": self._stream.count_from(self.next_seq, self.filter),
        }
