"""The durable consumers of inbox partitions and of voters' tasks. Creating one that exists changes nothing."""

from typing import Any

import msgspec

from magi.domain.ids import VoterId
from magi.eventstore import subjects
from magi.eventstore.bus import Bus, BusError

ACK_WAIT = 5.0
"""Seconds until a message comes again that its orchestrator neither acknowledged nor put off: how long a request stands
still when its orchestrator dies. Handling takes milliseconds, and a redelivery to the same one is recognised."""
PIN_TIMEOUT = 3.0
"""Seconds without a pull after which the server lets another orchestrator read a partition."""
TASK_ACK_WAIT = 10.0
"""Seconds after which a task that no instance said `+WPI` for goes to another: a third of the default deadline."""

_SECOND = 1_000_000_000


class CannotCreateConsumer(BusError):
    """The server refused to create a consumer."""


async def ensure_inbox_consumer(bus: Bus, partition: int) -> None:
    """The consumer of one partition: pinned, unlimited in what may be put off until a deadline. Raises BusError."""
    await _ensure(
        bus,
        subjects.INBOX,
        {
            "durable_name": subjects.inbox_consumer(partition),
            "filter_subject": subjects.inbox_filter(partition),
            "ack_policy": "explicit",
            "ack_wait": int(ACK_WAIT * _SECOND),
            "max_deliver": -1,
            "max_ack_pending": -1,
            "priority_groups": [subjects.GROUP],
            "priority_policy": "pinned_client",
            "priority_timeout": int(PIN_TIMEOUT * _SECOND),
        },
    )


async def ensure_task_consumer(bus: Bus, voter: VoterId) -> None:
    """The consumer that the instances of a voter share. Raises BusError."""
    await _ensure(
        bus,
        subjects.TASKS,
        {
            "durable_name": subjects.task_consumer(voter),
            "filter_subject": subjects.tasks(voter),
            "ack_policy": "explicit",
            "ack_wait": int(TASK_ACK_WAIT * _SECOND),
            "max_deliver": -1,
            "max_ack_pending": -1,
        },
    )


async def unpin(bus: Bus, partition: int) -> None:
    """Let another orchestrator read the partition now, not only after the pin's time-out. Raises BusError."""
    await bus.request(
        f"$JS.API.CONSUMER.UNPIN.{subjects.INBOX}.{subjects.inbox_consumer(partition)}",
        msgspec.json.encode({"group": subjects.GROUP}),
    )


async def _ensure(bus: Bus, stream: str, config: dict[str, Any]) -> None:
    name = config["durable_name"]
    answer: dict[str, Any] = msgspec.json.decode(
        await bus.request(
            f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.{name}",
            msgspec.json.encode({"stream_name": stream, "config": {"deliver_policy": "all", **config}}),
        )
    )
    if "error" in answer:
        raise CannotCreateConsumer(f"consumer {name} of {stream}: {answer['error'].get('description')}")
