"""What comes out of the inbox: a message, who sent it as its subject proves, and which request it is about."""

import msgspec
from msgspec import Struct
from nats.aio.msg import Msg

from magi.domain.ids import AggregateId, InitiatorId, RequestId, request_aggregate, split_task_id
from magi.domain.messages import InboxMessage, Submission, decode_inbox
from magi.eventstore.pull import Delivery, delivery


class Item(Struct, frozen=True):
    """A message of the inbox, understood."""

    message: InboxMessage
    sender: str
    """The initiator or the voter that its subject names: NATS lets nobody else publish there."""
    aggregate: AggregateId
    partition: int
    """The one that it came from. A ballot's sender may have chosen another one than its request's."""
    reply: str
    """Where the server wants its acknowledgement."""
    delivery: Delivery


class BadItem(Struct, frozen=True):
    """A message that can't be handled, now or later."""

    kind: str
    sender: str
    code: str
    problem: str
    partition: int
    reply: str
    delivery: Delivery
    task_id: str = ""


def parse(msg: Msg) -> Item | BadItem:
    """Understand a message of the inbox. Never raises for what a sender can put into one."""
    _, _, number, kind, sender = msg.subject.split(".")
    partition, about = int(number), delivery(msg.reply)
    try:
        message = decode_inbox(msg.data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return BadItem(kind, sender, "invalid_message", str(error), partition, msg.reply, about)
    if isinstance(message, Submission):
        if kind != "submission" or message.initiator_id != sender:
            problem = "a submission of another initiator"
            return BadItem(kind, sender, "invalid_message", problem, partition, msg.reply, about)
        aggregate = request_aggregate(InitiatorId(sender), RequestId(message.request_id))
        return Item(message, sender, aggregate, partition, msg.reply, about)
    task = message.task_id
    found = split_task_id(task)
    if kind != "ballot" or found is None or found[1] != sender:
        problem = f"task_id: {task[:200]!r} is no task of yours"
        return BadItem(kind, sender, "unknown_task", problem, partition, msg.reply, about, task[:200])
    return Item(message, sender, found[0], partition, msg.reply, about)
