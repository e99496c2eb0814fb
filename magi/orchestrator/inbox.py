"""What comes out of the inbox: a message, who sent it as its subject proves, and which requests it is about."""

import msgspec
from msgspec import Struct
from nats.aio.msg import Msg

from magi.domain.ids import AggregateId, InitiatorId, RequestId, request_aggregate, split_task_id
from magi.domain.messages import Ballot, InboxMessage, Submission, decode_inbox
from magi.eventstore.pull import Delivery, delivery


class Alone:
    """Says of an item that nothing else came in its message."""

    def handled(self) -> bool:
        """The item is handled. Returns whether all of its message is, which is acknowledged then."""
        return True

    def let_go(self) -> bool:
        """The item is out of our hands, handled or left to come again. Returns whether all of its message is."""
        return True


class Together(Alone):
    """Counts the items that came in one message. One that is left has the whole message come again."""

    def __init__(self, items: int) -> None:
        self._unhandled = self._in_hand = items

    def handled(self) -> bool:
        self._unhandled -= 1
        return self._unhandled == 0

    def let_go(self) -> bool:
        self._in_hand -= 1
        return self._in_hand == 0


ALONE = Alone()


class Item(Struct, frozen=True):
    """A message of the inbox, or a ballot that came with others in one, understood."""

    message: InboxMessage
    sender: str
    """The initiator or the voter that its subject names: NATS lets nobody else publish there."""
    aggregate: AggregateId
    partition: int
    """The one that it came from. A ballot's sender may have chosen another one than its request's."""
    reply: str
    """Where the server wants its acknowledgement."""
    delivery: Delivery
    whole: Alone = ALONE


class BadItem(Struct, frozen=True):
    """A message, or a ballot in one, that can't be handled, now or later."""

    kind: str
    sender: str
    code: str
    problem: str
    partition: int
    reply: str
    delivery: Delivery
    task_id: str = ""
    whole: Alone = ALONE


def parse(msg: Msg) -> list[Item | BadItem]:
    """Understand a message of the inbox: one item, or several ballots. Never raises for what a sender can put there."""
    _, _, number, kind, sender = msg.subject.split(".")
    partition, about = int(number), delivery(msg.reply)
    try:
        messages = decode_inbox(msg.data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return [BadItem(kind, sender, "invalid_message", str(error), partition, msg.reply, about)]
    whole = Together(len(messages)) if len(messages) > 1 else ALONE
    found: list[Item | BadItem] = []
    for message in messages:
        if not isinstance(message, Submission):
            found.append(_ballot(message, kind, sender, partition, msg.reply, about, whole))
        elif kind != "submission" or message.initiator_id != sender:
            problem = "a submission of another initiator"
            found.append(BadItem(kind, sender, "invalid_message", problem, partition, msg.reply, about))
        else:
            aggregate = request_aggregate(InitiatorId(sender), RequestId(message.request_id))
            found.append(Item(message, sender, aggregate, partition, msg.reply, about))
    return found


def _ballot(
    ballot: Ballot, kind: str, sender: str, partition: int, reply: str, about: Delivery, whole: Alone
) -> Item | BadItem:
    task = ballot.task_id
    found = split_task_id(task)
    if kind != "ballot" or found is None or found[1] != sender:
        problem = f"task_id: {task[:200]!r} is no task of yours"
        return BadItem(kind, sender, "unknown_task", problem, partition, reply, about, task[:200], whole)
    return Item(ballot, sender, found[0], partition, reply, about, whole)
