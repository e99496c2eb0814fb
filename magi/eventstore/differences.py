"""How a live stream compares with its declaration, field by field, and which differences break a promise.

Pure. `RULES` says for every field when the live value is weaker: it keeps less, for a shorter time, in fewer places, or
lacks something that a part of MAGI needs to work.
"""

from collections.abc import Callable, Iterator, Mapping, Set

import msgspec
from msgspec import Struct

from magi.eventstore import stream_config
from magi.eventstore.declarations import PRESENCE, USAGE, StreamDeclaration
from magi.eventstore.stream_config import StreamConfig
from magi.eventstore.units import format_duration, format_size


class Difference(Struct, frozen=True):
    """One field of one stream that is not as declared. The values are text, as a person would write them."""

    stream: str
    field: str
    declared: str
    live: str
    weaker: bool
    """The live value promises less than the declared one: no part may run on it."""


Rule = Callable[[object, object], bool]
"""(declared, live) -> whether live is weaker. Only asked when the two differ."""


def always(_declared: object, _live: object) -> bool:
    """Any other value breaks something."""
    return True


def never(_declared: object, _live: object) -> bool:
    """No promise hangs on it."""
    return False


def wanted(declared: object, _live: object) -> bool:
    """It was declared, and anything else is as good as nothing."""
    return declared is not None


def turned_off(declared: object, live: object) -> bool:
    """It was declared, and is missing."""
    return bool(declared) and not live


def turned_on(declared: object, live: object) -> bool:
    """It was not declared, and is there."""
    return bool(live) and not declared


def fewer(declared: object, live: object) -> bool:
    """Both are numbers, and more is better."""
    return _whole(live) < _whole(declared)


def tighter(declared: object, live: object) -> bool:
    """Both are bounds, and -1 (0 for an age) is none."""
    bound = _whole(live)
    return bound > 0 and (_whole(declared) <= 0 or bound < _whole(declared))


def lacks(declared: object, live: object) -> bool:
    """Both are collections, and something declared is not in the live one."""
    return not set(_names(declared)) <= set(_names(live))


def only(weak: str) -> Rule:
    """One value is the weak one."""
    return lambda _declared, live: live == weak


RULES: Mapping[str, Rule] = {
    # What is kept, where, and for how long.
    "storage": only("memory"),
    "compression": only("s2"),  # a damaged block may cost the whole stream (streams/magi_log.toml)
    "retention": always,
    "num_replicas": fewer,
    "persist_mode": only("async"),  # it silently turns sync_interval "always" off for the stream
    "discard": only("old"),  # old messages go without a word when a limit is reached
    "discard_new_per_subject": turned_off,
    "max_age": tighter,
    "max_msgs": tighter,
    "max_bytes": tighter,
    "max_msgs_per_subject": tighter,
    "max_msg_size": tighter,
    "deny_delete": turned_off,
    "deny_purge": turned_off,
    "allow_rollup_hdrs": always,  # on the log it erases history, without it a bucket can't purge a key
    "allow_msg_ttl": always,  # on the log it makes holes, without it tasks outlive their deadline
    "allow_msg_schedules": turned_on,  # it allows roll-ups and purges
    "subject_delete_marker_ttl": turned_on,  # messages nobody published, which no reader expects
    "duplicate_window": fewer,
    # What the parts need to work.
    "subjects": lacks,
    "republish": wanted,
    "allow_direct": turned_off,
    "allow_atomic": turned_off,
    "allow_batched": turned_off,
    "allow_msg_counter": turned_on,  # bodies become numbers to be added up
    "no_ack": turned_on,  # nobody learns what is stored
    "sealed": turned_on,  # nothing can be stored
    "max_consumers": tighter,
    "consumer_limits": always,  # a bound on max_ack_pending stops the deadlines
    "mirror": turned_on,  # nothing can be published into a mirror
    "sources": turned_on,  # others write into it past the compare-and-swap
    "subject_transform": turned_on,  # messages are not stored under the subjects they are looked for
    # What no promise hangs on.
    "description": never,
    "placement": never,
    "mirror_direct": never,
    "first_seq": never,
}
"""By field, all but the metadata (`_metadata`)."""

EXCEPTIONS: Mapping[tuple[str, str], Rule] = {
    (PRESENCE, "max_age"): always,  # longer, and the dead count as alive
}
"""By stream and field, where one stream's promise is another."""

DISPENSABLE = frozenset({PRESENCE, USAGE})
"""Streams that may be missing: that is worth a line, and not a stop. Presence is in memory and any part makes it again;
nothing is decided by when a token was used."""

FIXED = frozenset(
    {
        "storage",
        "retention",
        "persist_mode",
        "sealed",
        "deny_delete",
        "deny_purge",
        "allow_msg_ttl",
        "allow_msg_schedules",
        "allow_msg_counter",
    }
)
"""What nats-server refuses to change on a live stream, or to change back (tried with 2.15.1)."""


def compare(declaration: StreamDeclaration, live: StreamConfig | None) -> list[Difference]:
    """Every field in which `live` (None: there is no such stream) is not as declared, in the fields' order."""
    if live is None:
        missing = Difference(declaration.name, "stream", "present", "missing", declaration.name not in DISPENSABLE)
        return [missing]
    return [
        Difference(declaration.name, field, format_value(field, declared), format_value(field, actual), weaker)
        for field, declared, actual, weaker in _fields(declaration, live)
    ]


def _fields(declaration: StreamDeclaration, live: StreamConfig) -> Iterator[tuple[str, object, object, bool]]:
    for field in StreamConfig.__struct_fields__:
        declared, actual = getattr(declaration.config, field), getattr(live, field)
        if field == "metadata":
            yield from _metadata(declaration.config.metadata, live.metadata)
        elif _comparable(field, declared) != _comparable(field, actual):
            rule = EXCEPTIONS.get((declaration.name, field), RULES[field])
            yield field, declared, actual, rule(declared, actual)


def _metadata(declared: Mapping[str, str], live: Mapping[str, str]) -> Iterator[tuple[str, object, object, bool]]:
    """Only the keys that are declared: the server adds its own, and others may add theirs.

    Another value is no weaker (all parts read the live one), no value at all is.
    """
    for key, value in declared.items():
        if live.get(key) != value:
            yield f"metadata.{key}", value, live.get(key), key not in live


def _comparable(field: str, value: object) -> object:
    """`value` without what makes no difference: the order of subjects."""
    return frozenset(_names(value)) if field == "subjects" else value


def _whole(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"this rule is for numbers, not for {value!r}")
    return value


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, (tuple, list, Set, Mapping)):
        raise TypeError(f"this rule is for collections, not for {value!r}")
    return tuple(str(name) for name in value)


def format_value(field: str, value: object) -> str:
    """`value` as text for people: ``25h``, ``1MiB``, ``unlimited``, ``true``, ``a.*, b.*``, ``none``."""
    match value:
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case int() if field in stream_config.LIMITS and value <= 0:
            return "unlimited"
        case int() if field in stream_config.SIZES:
            return format_size(value)
        case int() if field == "max_age" and value == 0:
            return "unlimited"
        case int() if field in stream_config.DURATIONS:
            return format_duration(value)
        case str() | int():
            return str(value)
        case tuple():
            return ", ".join(_names(value))
        case _:
            return msgspec.json.encode(value).decode()
