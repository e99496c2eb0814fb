"""A stream's configuration: JetStream's own fields under JetStream's own names, as one frozen type.

A field that is left out has the server's default, so a file need not name what it does not care about, and whatever
someone changed on a live stream shows as a difference. Durations are nanoseconds, sizes bytes, -1 is "no limit".
"""

from typing import Literal

from msgspec import Struct, field

Storage = Literal["file", "memory"]
Retention = Literal["limits", "interest", "workqueue"]
Discard = Literal["old", "new"]

UNLIMITED = -1


class Republish(Struct, frozen=True, omit_defaults=True):
    """Every stored message is published again on core NATS, its subject mapped from `src` to `dest`."""

    src: str
    dest: str
    headers_only: bool = False


class Placement(Struct, frozen=True, omit_defaults=True):
    """Which servers of a cluster may hold the stream."""

    cluster: str = ""
    tags: tuple[str, ...] = ()


class ConsumerLimits(Struct, frozen=True, omit_defaults=True):
    """What consumers get that don't say otherwise, and at most."""

    inactive_threshold: int = 0
    max_ack_pending: int = 0


# What equals its default is left out of requests: nats-server refuses fields that it does not know (`strict`, on unless
# turned off; seen with 2.15.1), so an older one must not be sent the newest names only to say "false".
class StreamConfig(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One stream. The fields without a default are the promises that a declaration has to spell out."""

    name: str
    subjects: tuple[str, ...] = ()
    storage: Storage
    retention: Retention
    discard: Discard
    num_replicas: int
    duplicate_window: int
    description: str = ""
    max_age: int = 0
    max_msgs: int = UNLIMITED
    max_bytes: int = UNLIMITED
    max_msgs_per_subject: int = UNLIMITED
    max_msg_size: int = UNLIMITED
    max_consumers: int = UNLIMITED
    discard_new_per_subject: bool = False
    compression: Literal["none", "s2"] = "none"
    persist_mode: Literal["default", "async"] = "default"
    deny_delete: bool = False
    deny_purge: bool = False
    allow_direct: bool = False
    allow_atomic: bool = False
    allow_batched: bool = False
    allow_msg_ttl: bool = False
    allow_msg_counter: bool = False
    allow_msg_schedules: bool = False
    allow_rollup_hdrs: bool = False
    mirror_direct: bool = False
    no_ack: bool = False
    sealed: bool = False
    subject_delete_marker_ttl: int = 0
    first_seq: int = 0
    republish: Republish | None = None
    placement: Placement | None = None
    consumer_limits: ConsumerLimits = ConsumerLimits()
    metadata: dict[str, str] = field(default_factory=dict)
    # No stream of ours is fed from others or rewrites subjects: these are here to be noticed when a live one does.
    mirror: object = None
    sources: object = None
    subject_transform: object = None


DURATIONS = frozenset({"duplicate_window", "max_age", "subject_delete_marker_ttl"})
SIZES = frozenset({"max_bytes", "max_msg_size"})
LIMITS = frozenset({"max_msgs", "max_bytes", "max_msgs_per_subject", "max_msg_size", "max_consumers"})
"""Where JetStream takes 0 for "no limit" and answers -1."""
NESTED: dict[str, type[Struct]] = {
    "republish": Republish,
    "placement": Placement,
    "consumer_limits": ConsumerLimits,
}
NOT_DECLARABLE = frozenset({"mirror", "sources", "subject_transform"})
