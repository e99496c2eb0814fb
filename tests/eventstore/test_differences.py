"""Comparing a live stream with its declaration: every field has a rule, and the rules know which way is weaker."""

import pytest
from msgspec.structs import replace

from magi.eventstore.declarations import INBOX, LOG, PARTITIONS, PRESENCE, TASKS, USAGE, find, load_declarations
from magi.eventstore.differences import FIXED, RULES, Difference, compare
from magi.eventstore.stream_config import Republish, StreamConfig

DECLARATIONS = load_declarations()
SECOND = 10**9


def differ(stream: str, **changes: object) -> list[Difference]:
    """The differences of a live stream that is as declared but for `changes`."""
    declaration = find(DECLARATIONS, stream)
    return compare(declaration, replace(declaration.config, **changes))


def test_every_field_has_a_rule() -> None:
    assert set(RULES) | {"name", "metadata"} == set(StreamConfig.__struct_fields__)
    assert set(RULES) >= FIXED


@pytest.mark.parametrize("declaration", DECLARATIONS, ids=lambda d: d.name)
def test_a_stream_as_declared_does_not_differ(declaration: object) -> None:
    assert differ(getattr(declaration, "name", "")) == []


@pytest.mark.parametrize(
    ("stream", "field", "live", "weaker"),
    [
        (LOG, "storage", "memory", True),
        (LOG, "retention", "workqueue", True),
        (LOG, "discard", "old", True),
        (LOG, "persist_mode", "async", True),
        (LOG, "deny_delete", False, True),
        (LOG, "deny_purge", False, True),
        (LOG, "max_age", 3600 * SECOND, True),
        (LOG, "max_msgs", 10, True),
        (LOG, "max_bytes", 10, True),
        (LOG, "max_msgs_per_subject", 1, True),
        (LOG, "max_msg_size", 100, True),
        (LOG, "max_msg_size", 2**21, False),
        (LOG, "max_msg_size", -1, False),
        (LOG, "num_replicas", 3, False),
        (LOG, "duplicate_window", SECOND, True),
        (LOG, "duplicate_window", 600 * SECOND, False),
        (LOG, "subjects", ("magi.log.*.*", "more"), False),
        (LOG, "subjects", ("more",), True),
        (LOG, "republish", None, True),
        (LOG, "republish", Republish(src="magi.log.>", dest="elsewhere.>"), True),
        (LOG, "allow_direct", False, True),
        (LOG, "allow_atomic", False, True),
        (LOG, "allow_batched", True, False),
        (LOG, "allow_msg_ttl", True, True),
        (LOG, "allow_rollup_hdrs", True, True),
        (LOG, "allow_msg_schedules", True, True),
        (LOG, "no_ack", True, True),
        (LOG, "sealed", True, True),
        (LOG, "mirror", {"name": "OTHER"}, True),
        (LOG, "sources", [{"name": "OTHER"}], True),
        (LOG, "subject_transform", {"src": ">", "dest": "x.>"}, True),
        (LOG, "compression", "s2", True),
        (LOG, "description", "something else", False),
        (INBOX, "republish", Republish(src=">", dest="x.>"), False),
        (INBOX, "max_msgs", -1, False),
        (TASKS, "allow_msg_ttl", False, True),
        (TASKS, "max_age", 3600 * SECOND, True),
        (TASKS, "max_age", 0, False),
        (TASKS, "discard_new_per_subject", False, True),
        (PRESENCE, "max_age", 60 * SECOND, True),
        (PRESENCE, "storage", "file", False),
        (PRESENCE, "max_msgs_per_subject", 5, False),
    ],
)
def test_a_changed_field_is_the_only_difference_and_known_as_weaker_or_not(
    stream: str, field: str, live: object, weaker: bool
) -> None:
    assert [(d.stream, d.field, d.weaker) for d in differ(stream, **{field: live})] == [(stream, field, weaker)]


def test_fewer_replicas_than_declared_are_weaker() -> None:
    declaration = find(DECLARATIONS, LOG)
    three = replace(declaration, config=replace(declaration.config, num_replicas=3))
    assert [d.weaker for d in compare(three, declaration.config)] == [True]


def test_values_are_written_as_in_the_file() -> None:
    assert differ(TASKS, max_age=0) == [Difference(TASKS, "max_age", "25h", "unlimited", False)]
    assert differ(LOG, max_msg_size=2048) == [Difference(LOG, "max_msg_size", "1MiB", "2KiB", True)]
    assert differ(LOG, subjects=("b", "a"))[0].live == "b, a"
    assert differ(LOG, republish=None) == [
        Difference(LOG, "republish", '{"src":"magi.log.>","dest":"magi.live.>"}', "none", True)
    ]


def test_the_order_of_subjects_is_no_difference() -> None:
    assert differ(INBOX, subjects=tuple(reversed(find(DECLARATIONS, INBOX).config.subjects))) == []


def test_metadata_of_others_is_no_difference() -> None:
    assert differ(INBOX, metadata={PARTITIONS: "8", "_nats.ver": "2.15.1", "team": "a"}) == []


def test_another_number_of_partitions_differs_but_is_not_weaker_and_none_is() -> None:
    assert differ(INBOX, metadata={PARTITIONS: "4"}) == [
        Difference(INBOX, "metadata.magi.partitions", "8", "4", weaker=False)
    ]
    assert differ(INBOX, metadata={}) == [Difference(INBOX, "metadata.magi.partitions", "8", "none", weaker=True)]


def test_a_missing_stream_is_weaker_unless_any_part_makes_it_again() -> None:
    missing = [compare(d, None) for d in DECLARATIONS]
    assert {d.stream: d.weaker for (d,) in missing} == {d.name: d.name not in (PRESENCE, USAGE) for d in DECLARATIONS}
