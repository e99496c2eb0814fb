import json

import pytest

from magi.cli.directory_report import (
    Queue,
    columns,
    initiator_rows,
    show_voters,
    shown_ms,
    shown_rate,
    to_json,
    voter_rows,
)
from magi.domain import initiator as initiators
from magi.domain import voter as voters
from magi.domain.directory import Directory
from magi.domain.event import Event
from magi.eventstore.presence import Instance

NOW = 1_769_860_800_000


def directory(*events: Event) -> Directory:
    made = Directory()
    for event in events:
        made.apply(event)  # type: ignore[arg-type]
    return made


def registered(voter: str, version: int = 1) -> voters.VoterRegistered:
    return voters.VoterRegistered(
        originator_id=f"voter.{voter}",
        originator_version=version,
        at="2026-01-31T12:00:00.000Z",
        voter_id=voter,
        kind="nats",
        by="t",
    )


def test_a_voters_instances_and_queue_are_its_own() -> None:
    alive = [Instance("voter.a", "1", capacity=8), Instance("voter.a", "2", capacity=4), Instance("voter.ab", "3")]
    rows = voter_rows(directory(registered("b"), registered("a")), alive, {"a": Queue(3, 2)})
    assert [(r.voter_id, r.instances, r.capacity, r.waiting, r.taken) for r in rows] == [
        ("a", 2, 12, 3, 2),
        ("b", 0, 0, None, None),
    ]


def test_how_the_instances_do_is_put_together() -> None:
    alive = [
        Instance("voter.a", "1", in_flight=2, p95_ms=40, succeeded=30, failed=0),
        Instance("voter.a", "2", in_flight=1, p95_ms=900, succeeded=9, failed=1),
        Instance("voter.a", "3"),
    ]
    (row,) = voter_rows(directory(registered("a")), alive, {})
    assert (row.in_flight, row.p95_ms, row.success_rate) == (3, 900, 39 / 40)
    (idle,) = voter_rows(directory(registered("a")), alive[2:], {})
    assert (idle.in_flight, idle.p95_ms, idle.success_rate) == (0, None, None)


@pytest.mark.parametrize(
    ("ms", "rate", "expected"),
    [
        (None, None, ("-", "-")),
        (5, 1.0, ("5 ms", "100 %")),
        (12_400, 0.9999, ("12 s", "99.9 %")),
        (0, 0.0, ("0 ms", "0 %")),
    ],
)
def test_figures_are_short_and_a_failure_is_never_rounded_away(
    ms: int | None, rate: float | None, expected: tuple[str, str]
) -> None:
    assert (shown_ms(ms), shown_rate(rate)) == expected


def test_initiators_are_listed_with_their_tokens_ids() -> None:
    found = initiator_rows(
        directory(
            initiators.InitiatorRegistered(
                originator_id="initiator.i",
                originator_version=1,
                initiator_id="i",
                by="t",
                at="2026-01-31T12:00:00.000Z",
            ),
            initiators.TokenIssued(
                originator_id="initiator.i", originator_version=2, token_id="t2", sha256="h2", by="t"
            ),
            initiators.TokenIssued(
                originator_id="initiator.i", originator_version=3, token_id="t1", sha256="h1", by="t"
            ),
        )
    )
    assert [(r.initiator_id, r.tokens, r.registered_at) for r in found] == [
        ("i", ("t1", "t2"), "2026-01-31T12:00:00.000Z")
    ]


def test_columns_are_aligned_and_nothing_is_cut_short() -> None:
    text = columns(("name", "what"), [("a", "x" * 300), ("longer name", "y")]).plain
    assert text.splitlines() == ["name         what", "a            " + "x" * 300, "longer name  y"]


def test_a_description_can_not_steer_the_terminal_or_break_the_line() -> None:
    text = columns(("name",), [("\x1b[2J\nsecond",)]).plain
    assert text.splitlines() == ["name", r"\x1b[2J\nsecond"]


def test_wide_characters_count_for_two() -> None:
    lines = columns(("name", "what"), [("你好你好", "x"), ("abcd", "y")]).plain.splitlines()
    assert lines == ["name      what", "你好你好  x", "abcd      y"]


def test_a_reason_stands_with_the_description() -> None:
    suspended = voters.VoterSuspended(originator_id="voter.a", originator_version=2, reason="late", by="t")
    rows = voter_rows(directory(registered("a"), suspended), [], {})
    assert show_voters(rows).plain.endswith("(late)")


def test_json_has_the_fields_of_the_rows() -> None:
    rows = voter_rows(directory(registered("a")), [], {})
    (found,) = json.loads(to_json(rows))
    assert found["voter_id"] == "a"
    assert found["waiting"] is None
