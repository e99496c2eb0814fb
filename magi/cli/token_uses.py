"""When tokens were used last, for the commands that list them."""

from collections.abc import Iterable

from magi.eventstore import subjects
from magi.eventstore.bus import Bus
from magi.eventstore.direct import DirectReader
from magi.eventstore.last_use import last_uses


async def token_uses(bus: Bus, token_ids: Iterable[str]) -> dict[str, str]:
    """By token id, RFC 3339. Raises BusError."""
    reader = DirectReader(bus, subjects.USAGE)
    await reader.start()
    return await last_uses(reader, token_ids)
