"""One request's stored messages, by the names that people know it by."""

from collections.abc import Iterable

from magi.audit.events import RawEvent, request_event
from magi.audit.source import LogSource
from magi.cli.history_report import Unreadable
from magi.cli.local_token import LOCAL
from magi.domain.errors import UnknownRequest
from magi.domain.ids import AggregateId, InitiatorId, check_name, check_request_id, request_aggregate
from magi.domain.voting_request import RequestEvent
from magi.eventstore.bus import Bus
from magi.eventstore.direct import StoredMessage
from magi.eventstore.history import CorruptHistory


def aggregate_of(request_id: str, initiator: str) -> AggregateId:
    """Raises InvalidMessage when they can't be such names."""
    return request_aggregate(InitiatorId(check_name(initiator, "initiator")), check_request_id(request_id))


async def open_log(bus: Bus) -> LogSource:
    source = LogSource(bus)
    await source.start()
    return source


async def load_history(source: LogSource, request_id: str, initiator: str) -> list[StoredMessage]:
    """Every stored message of a request. Raises UnknownRequest when there is none, StoreUnavailable."""
    messages = await source.history(aggregate_of(request_id, initiator))
    if not messages:
        hint = "; name another initiator with --initiator" if initiator == LOCAL else ""
        raise UnknownRequest(f"nothing is stored of a request {request_id!r} of the initiator {initiator!r}{hint}")
    return messages


def readable(events: Iterable[RawEvent]) -> list[RequestEvent | Unreadable]:
    """Each event, or why it is none."""
    found: list[RequestEvent | Unreadable] = []
    for place, event in enumerate(events, 1):
        try:
            found.append(request_event(event.data))
        except CorruptHistory as error:
            found.append(Unreadable(place, f"{error} (sequence {event.sequence} of the log)"))
    return found
