"""The tracker alone: whatever comes in whatever order, each event is told once, in order, and none is left out."""

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from magi.domain.ids import AggregateId, RequestId
from magi.gateway.tracker import Tracker


def tracker(position: int = 0) -> Tracker:
    return Tracker(AggregateId("agent.1"), RequestId("abc123"), position=position, seen=position)


class TestLive:
    def test_the_next_event_is_told(self) -> None:
        assert tracker(2).live(3)

    def test_an_event_that_was_told_is_not_told_again(self) -> None:
        told = tracker(3)
        assert not told.live(3)
        assert not told.live(1)
        assert not told.behind

    def test_an_event_behind_a_hole_is_not_told_before_the_hole_is_filled(self) -> None:
        holed = tracker(1)
        assert not holed.live(3)
        assert holed.behind

    def test_nothing_is_told_live_while_the_log_is_read(self) -> None:
        reading = tracker(1)
        number = reading.read()
        assert not reading.live(2)
        assert not reading.behind
        assert reading.done(number)
        assert reading.behind


class TestReading:
    def test_a_stored_event_is_told_unless_it_was(self) -> None:
        reading = tracker(2)
        number = reading.read()
        assert not reading.stored(number, 2)
        assert reading.stored(number, 3)

    def test_the_last_reading_that_was_begun_is_the_one_that_counts(self) -> None:
        twice = tracker(4)
        first = twice.read()
        second = twice.rewind(0)
        assert not twice.stored(first, 5)
        assert not twice.done(first)
        assert not twice.live(1)
        assert twice.stored(second, 1)
        assert twice.done(second)

    def test_a_doubt_that_comes_up_during_a_reading_leads_to_another_one(self) -> None:
        doubting = tracker(1)
        number = doubting.read()
        doubting.doubt = True
        doubting.done(number)
        assert doubting.behind

    def test_nothing_is_told_after_stop(self) -> None:
        stopped = tracker(1)
        number = stopped.read()
        stopped.stop()
        stopped.done(number)
        assert not stopped.stored(number, 2)
        assert not stopped.live(2)
        assert not stopped.behind


class TestContent:
    def test_a_connection_that_submitted_nothing_may_be_told_anything(self) -> None:
        assert tracker().learn("digest")

    def test_a_connection_that_submitted_this_may_be_told(self) -> None:
        asking = tracker()
        asking.asked = "digest"
        assert asking.learn("digest")

    def test_a_connection_that_submitted_something_else_is_answered_once(self) -> None:
        asking = tracker()
        asking.asked = "other"
        assert not asking.learn("digest")
        assert asking.learn("digest")

    def test_a_request_that_exists_must_be_read(self) -> None:
        waiting = tracker()
        assert not waiting.behind
        waiting.exists()
        assert waiting.behind


class Connection(RuleBasedStateMachine):
    """A log that grows, a live feed that loses and delays, readings that answer late, and a client that resumes."""

    @initialize(stored=st.integers(0, 4))
    def begin(self, stored: int) -> None:
        self.tracker = tracker()
        self.stored = stored
        self.feed: deque[int] = deque()
        """Live events on their way."""
        self.readings: list[list[int]] = []
        """Of each reading under way: its number, the last event stored when it was answered (0: not yet), the next."""
        self.resuming = 0
        self.told = 0
        """The last event that the client was told, since it resumed."""
        self.due = 0
        """The last event that it must be told in the end: nothing hides it from the tracker."""
        self.go_on()

    def tell(self, seq: int) -> None:
        assert seq == self.told + 1, "told once, and in order"
        assert seq <= self.stored, "told when it is stored"
        self.told = seq
        self.tracker.told(seq, final=False)

    def go_on(self) -> None:
        if self.tracker.behind:
            self.readings.append([self.tracker.read(), 0, 1])

    @rule()
    def an_event_is_stored(self) -> None:
        self.stored += 1
        self.feed.append(self.stored)

    @precondition(lambda self: self.feed)
    @rule()
    def a_live_event_comes(self) -> None:
        seq = self.due = self.feed.popleft()
        if self.tracker.live(seq):
            assert not self.resuming, "live before all that is stored was told"
            self.tell(seq)
        else:
            self.go_on()

    @rule(lost=st.integers(1, 3))
    def the_connection_to_nats_breaks(self, lost: int) -> None:
        for _ in range(min(lost, len(self.feed))):
            self.feed.popleft()
        self.due = self.stored
        self.tracker.doubt = True
        self.go_on()

    @precondition(lambda self: self.feed)
    @rule()
    def a_live_event_is_lost(self) -> None:
        """Silently: the next one shows it."""
        self.feed.popleft()
        if not self.feed:
            self.an_event_is_stored()

    @precondition(lambda self: not self.resuming)
    @rule(after=st.integers(0, 12))
    def the_client_resumes(self, after: int) -> None:
        self.resuming = self.tracker.rewind(after)
        self.readings.append([self.resuming, 0, 1])
        self.told = after

    @precondition(lambda self: self.readings)
    @rule(data=st.data())
    def a_reading_goes_on(self, data: st.DataObject) -> None:
        self.step(data.draw(st.sampled_from(self.readings)))

    def step(self, reading: list[int]) -> None:
        """The log answers a reading, or the next event of its answer is handled, or it has ended."""
        number, answered, following = reading
        if not answered:
            reading[1] = answered = self.stored
        if following <= answered:
            if self.tracker.stored(number, following):
                self.tell(following)
            reading[2] += 1
            return
        self.readings.remove(reading)
        self.tracker.done(number)
        if number == self.resuming:
            self.resuming = 0
            self.tracker.position = self.told = min(self.tracker.position, answered)
        self.go_on()

    @invariant()
    def the_tracker_knows_what_was_told(self) -> None:
        assert self.tracker.position == self.told

    def teardown(self) -> None:
        """Once nothing more happens, everything is told."""
        if not hasattr(self, "tracker"):
            return
        while self.feed or self.readings:
            while self.feed:
                self.a_live_event_comes()
            if self.readings:
                self.step(self.readings[0])
        assert self.told >= self.due


TestAnyInterleaving = Connection.TestCase
TestAnyInterleaving.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


class TestQuiet:
    def test_the_log_is_read_ever_less_often_while_nothing_comes(self) -> None:
        tracker = Tracker(AggregateId("a"), RequestId("r"), position=3, seen=3)
        reads = []
        for look in range(1, 200):
            tracker.look()
            if tracker.behind:
                reads.append(look)
                tracker.done(tracker.read())
        assert reads == [1, 2, 4, 8, 16, 32, 64, 128, 192]

    def test_what_comes_begins_it_anew(self) -> None:
        tracker = Tracker(AggregateId("a"), RequestId("r"), position=3, seen=3)
        for _ in range(3):
            tracker.look()
            tracker.doubt = False
        tracker.told(4, final=False)
        tracker.look()
        assert tracker.doubt

    def test_what_is_being_read_is_not_read_twice(self) -> None:
        tracker = Tracker(AggregateId("a"), RequestId("r"), position=3, seen=3)
        tracker.read()
        tracker.look()
        assert not tracker.behind
