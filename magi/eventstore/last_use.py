"""When tokens were used last: the bucket `magi_usage`, written by gateways, read for operators."""

from collections.abc import Iterable

import msgspec
import structlog
from msgspec import Struct

from magi.domain.clock import rfc3339
from magi.eventstore import subjects
from magi.eventstore.bus import Bus, NoStream
from magi.eventstore.direct import DirectReader

log = structlog.get_logger(__name__)

_AT_ONCE = 500
"""Keys asked for in one request: the server takes 1,024."""


class TokenUse(Struct, frozen=True):
    at: str
    """RFC 3339."""


async def store_use(bus: Bus, token_id: str, now: int) -> None:
    """Note that a token was used at `now`, milliseconds since 1970. Raises BusError, Rejected."""
    await bus.store(subjects.token_use(token_id), msgspec.json.encode(TokenUse(rfc3339(now))))


async def last_uses(reader: DirectReader, token_ids: Iterable[str]) -> dict[str, str]:
    """When each was used last, RFC 3339; those that never were, or not for as long as that is kept, aren't there.

    `reader` reads the stream `subjects.USAGE`. Raises BusError; an empty dict when the bucket is missing.
    """
    names = [subjects.token_use(token_id) for token_id in token_ids]
    found = {}
    for start in range(0, len(names), _AT_ONCE):
        try:
            messages = await reader.last_of_each(names[start : start + _AT_ONCE])
        except NoStream:
            return {}
        for message in messages:
            try:
                use = msgspec.json.decode(message.data, type=TokenUse)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                log.warning("token_use_unreadable", key=message.subject, error=str(error))
            else:
                found[message.subject.rpartition(".")[2]] = use.at
    return found
