"""Nobody is missing before every ballot that may have been in time was handled."""

from magi.domain.ids import AggregateId
from magi.eventstore.consumers import ACK_WAIT
from magi.eventstore.pull import Delivery
from magi.orchestrator.arrivals import AT_MOST, LOOK_AGAIN, Arrivals

RECEIVED = 1_000_000
DEADLINE = RECEIVED + 30_000
REQUEST, OTHER = AggregateId("agent.1"), AggregateId("agent.2")


def delivery(stored: int, attempt: int = 1) -> Delivery:
    return Delivery(sequence=1, attempt=attempt, stored_ms=stored, pending=0)


def put_off(arrivals: Arrivals, now: int = DEADLINE, pending: int = 0, partition: int = 0, of: str = REQUEST) -> int:
    return arrivals.put_off(partition, AggregateId(of), pending=pending, received=RECEIVED, deadline=DEADLINE, now=now)


def test_with_nothing_waiting_a_deadline_is_a_deadline() -> None:
    assert put_off(Arrivals()) == 0


def test_what_waits_may_be_a_ballot_in_time() -> None:
    arrivals = Arrivals()
    arrivals.came(0, delivery(DEADLINE - 1), RECEIVED)
    assert put_off(arrivals, pending=3) == LOOK_AGAIN


def test_once_something_later_has_come_everything_in_time_has() -> None:
    arrivals = Arrivals()
    arrivals.came(0, delivery(DEADLINE), RECEIVED)
    assert put_off(arrivals, DEADLINE + 5, pending=3) == 0
    assert put_off(arrivals, DEADLINE + 5, pending=3, partition=1) == LOOK_AGAIN, "partitions have nothing in common"


def numbered(number: int) -> Delivery:
    return Delivery(1, 1, RECEIVED, 0, number)


def test_a_delivery_that_was_lost_on_its_way_shows_by_its_number() -> None:
    arrivals = Arrivals()
    came = [arrivals.came(0, numbered(number), DEADLINE) for number in (1, 2, 4, 5)]
    assert came == [True, True, False, True]
    assert arrivals.came(1, numbered(1), DEADLINE), "each partition has a consumer of its own"
    wait = put_off(arrivals)
    assert wait >= ACK_WAIT * 1000, "it comes again"
    assert put_off(arrivals, DEADLINE + wait) == 0
    assert put_off(arrivals, partition=1) == 0


def test_the_first_delivery_shows_that_somebody_else_read_until_then() -> None:
    """Whoever takes a partition isn't let in before the pin of another has run out."""
    arrivals = Arrivals()
    arrivals.interrupted(0, RECEIVED - 600)  # taken
    assert arrivals.came(0, numbered(6), DEADLINE), "none was lost on its way"
    wait = put_off(arrivals)
    assert wait >= ACK_WAIT * 1000, "what the other had comes again"
    assert put_off(arrivals, DEADLINE + wait) == 0


def test_what_came_first_of_all_shows_that_nobody_else_has_read() -> None:
    arrivals = Arrivals()
    assert arrivals.came(0, numbered(1), DEADLINE)
    assert put_off(arrivals) == 0


def test_a_redelivery_says_nothing_about_what_has_come() -> None:
    arrivals = Arrivals()
    arrivals.came(0, delivery(DEADLINE + 1, attempt=2), RECEIVED)
    assert put_off(arrivals, DEADLINE + 5, pending=3) == LOOK_AGAIN


def test_what_the_last_owner_had_comes_again_after_the_ack_wait() -> None:
    arrivals = Arrivals()
    taken = DEADLINE + 10
    arrivals.interrupted(0, taken)
    wait = put_off(arrivals, taken + 1)
    assert wait >= ACK_WAIT * 1000
    assert put_off(arrivals, taken + 1 + wait) == 0
    assert put_off(arrivals, taken + 1, partition=1) == 0


def test_a_request_that_was_received_since_doesnt_wait_for_that() -> None:
    arrivals = Arrivals()
    arrivals.interrupted(0, RECEIVED)
    assert put_off(arrivals) == 0


def test_what_was_left_to_come_again_is_waited_for_by_its_request_only() -> None:
    arrivals = Arrivals()
    arrivals.left(REQUEST, DEADLINE - 10)
    wait = put_off(arrivals)
    assert wait >= ACK_WAIT * 1000 - 10
    assert put_off(arrivals, DEADLINE + wait) == 0
    assert put_off(arrivals, of=OTHER) == 0


def test_an_item_that_fails_each_time_keeps_its_request_open_for_a_while_only() -> None:
    arrivals = Arrivals()
    for failed in range(DEADLINE, DEADLINE + AT_MOST, 5000):
        arrivals.left(REQUEST, failed)
        assert put_off(arrivals, failed) > 0
    assert put_off(arrivals, DEADLINE + AT_MOST) == 0


def test_a_missing_strategy_may_take_long() -> None:
    arrivals = Arrivals()
    later = DEADLINE + 3_600_000
    for waited in range(DEADLINE, later + 1, 5000):
        arrivals.waits(REQUEST, waited)
    wait = put_off(arrivals, later)
    assert wait >= ACK_WAIT * 1000, "the other items of its request come again before that"
    assert put_off(arrivals, later + wait) == 0


def test_nothing_is_put_off_for_ever() -> None:
    arrivals = Arrivals()
    assert put_off(arrivals, DEADLINE + AT_MOST - 1, pending=1) == LOOK_AGAIN
    assert put_off(arrivals, DEADLINE + AT_MOST, pending=1) == 0
    # Somebody who comes after an hour has as much time as somebody who was there.
    back = DEADLINE + 3_600_000
    arrivals.interrupted(0, back)
    assert put_off(arrivals, back + AT_MOST - 1, pending=1) == LOOK_AGAIN
    assert put_off(arrivals, back + AT_MOST, pending=1) == 0


def test_what_came_again_long_ago_is_forgotten() -> None:
    arrivals = Arrivals()
    arrivals.left(REQUEST, DEADLINE)
    arrivals.tidy(DEADLINE + AT_MOST)
    assert put_off(arrivals) > 0
    arrivals.tidy(DEADLINE + AT_MOST + 1)
    assert put_off(arrivals) == 0


def test_interruptions_without_end_hold_up_no_verdict_for_ever() -> None:
    arrivals, now = Arrivals(), DEADLINE
    while now < DEADLINE + AT_MOST:
        arrivals.interrupted(0, now)
        assert put_off(arrivals, now), "each time something may have been lost, and comes again"
        now += 5_000
    arrivals.interrupted(0, now)
    assert put_off(arrivals, now) == 0


def test_an_interruption_long_after_another_one_is_waited_out() -> None:
    arrivals, taken = Arrivals(), DEADLINE + 10 * AT_MOST
    arrivals.interrupted(0, RECEIVED)
    arrivals.interrupted(0, taken)
    assert put_off(arrivals, taken) >= ACK_WAIT * 1000
