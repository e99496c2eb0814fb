"""The hash chain of one aggregate: each event names the version before it and the hash of that event's stored bytes."""

from msgspec import Struct

from magi.audit.findings import Problem
from magi.domain.event import Event


class Link(Struct, frozen=True):
    """Where an aggregate's chain ends."""

    version: int = 0
    digest: str = ""
    """SHA-256 (hex) of the stored bytes of its last event."""


START = Link()


def check_link(link: Link, aggregate: str, event: Event) -> list[Problem]:
    """What keeps `event` from being the one that was written after `link` in the history of `aggregate`."""
    if event.originator_version == link.version + 1 and event.prev == link.digest and event.originator_id == aggregate:
        return []
    found: list[Problem] = []
    if event.originator_id != aggregate:
        found.append(Problem("misplaced", f"an event of {event.originator_id!r} under the subject of {aggregate!r}"))
    expected = link.version + 1
    if event.originator_version > expected:
        missing = event.originator_version - expected
        found.append(
            Problem("version", f"version {event.originator_version} where {expected} was expected: {missing} missing")
        )
    elif event.originator_version < expected:
        found.append(Problem("version", f"version {event.originator_version} again, or out of order"))
    elif event.prev != link.digest:
        # Which of the two was changed can't be told from the link alone; the rolling hash of an earlier audit can.
        what = f"version {link.version}" if link.version else "nothing"
        found.append(Problem("chain", f"it was written after other bytes than those of {what} before it"))
    return found
