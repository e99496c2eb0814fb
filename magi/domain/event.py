"""The envelope that every stored event has, whatever its aggregate.

An event is one JSON object: the fields here and its own. Fields are only ever added, with defaults, so that
every stored event can be read for ever (`tests/golden/`).
"""

from msgspec import Struct, field


class Event(Struct, frozen=True, kw_only=True, tag_field="type"):
    """A fact about an aggregate.

    What `decide` returns has only `at` and the event's own fields. Whoever appends it adds what led to it (`cause`,
    `trace`), and the log fills in the rest. The attributes `originator_id` and `originator_version` are what the
    `eventsourcing` library calls a domain event.
    """

    originator_id: str = field(default="", name="aggregate")
    """The aggregate, so that an event says by itself whose it is."""
    originator_version: int = field(default=0, name="version")
    """1, 2, 3 … within the aggregate."""
    id: str = ""
    """Unique; a retry after a lost acknowledgement carries the same."""
    at: str = ""
    """When it was decided, RFC 3339."""
    cause: int = 0
    """The sequence in the inbox of the message that led to it; 0 when there was none."""
    trace: str = ""
    """W3C ``traceparent``, or empty."""
    prev: str = ""
    """SHA-256 (hex) of the previous event's stored bytes; empty for the first: a hash chain an aggregate."""
