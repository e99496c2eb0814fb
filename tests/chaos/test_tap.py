"""What a tap makes of what nats-server sends: which deliveries are later ones, and who reads a partition."""

import pytest

from tests.chaos.tap import Deliveries

OLD = "$JS.ACK.{stream}.{consumer}.{attempt}.17.18.1795388000000000000.3"
NEW = "$JS.ACK.hub.AbCdEf12.{stream}.{consumer}.{attempt}.17.18.1795388000000000000.3.Xyz"


def delivered(subject: str, stream: str, consumer: str, attempt: int, form: str = OLD) -> bytes:
    return f"MSG {subject} 4 {form.format(stream=stream, consumer=consumer, attempt=attempt)} 2\r\n{{}}\r\n".encode()


@pytest.mark.parametrize("form", [OLD, NEW])
def test_a_task_and_a_ballot_that_come_again_are_counted_and_a_submission_is_not(form: str) -> None:
    deliveries = Deliveries()
    for attempt in (1, 2, 11):
        deliveries.look("voters-1", b"H" + delivered("magi.tasks.a", "MAGI_TASKS", "voter-a", attempt, form))
        deliveries.look("voters-1", delivered("magi.inbox.3.ballot.a", "MAGI_INBOX", "inbox-3", attempt, form))
        deliveries.look("voters-1", delivered("magi.inbox.3.submission.i", "MAGI_INBOX", "inbox-3", attempt, form))
    assert deliveries.again == {"tasks": 2, "ballot": 2}


def test_a_partition_is_taken_over_when_its_messages_come_to_somebody_else() -> None:
    deliveries = Deliveries()
    for reader in ("one", "one", "other", "other", "one"):
        deliveries.look(reader, delivered("magi.inbox.3.ballot.a", "MAGI_INBOX", "inbox-3", 1))
        deliveries.look("third", delivered("magi.inbox.4.ballot.a", "MAGI_INBOX", "inbox-4", 1))
    assert deliveries.taken_over == 2


def test_other_things_are_passed_over() -> None:
    deliveries = Deliveries()
    deliveries.look("one", b"MSG magi.live.i.x 1 20\r\n{}\r\nPING\r\nMSG _INBOX.x.1 3 30\r\n+ACK magi.tasks.a\r\n")
    assert deliveries.again.total() == deliveries.taken_over == 0
