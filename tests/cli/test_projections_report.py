from magi.cli.projections_report import show_difference, show_rebuilt, show_status, show_verified
from magi.projections.halts import Halt
from magi.projections.rebuild import Rebuilt
from magi.projections.skips import Skip
from magi.projections.status import Progress, Size, Status
from magi.projections.verify import MOST, Difference, Verified
from magi.projections.versions import Version

LIVE = Version(2, "live", 1, False, "v")
HALT = Halt(
    2, "requests", "event", "i", 9, 9, "magi.log.a.b", '{"x":"\x1b[2J"}', "bad \x1b[31m", "2026-01-31T12:00:00Z"
)


def status(**changes: object) -> Status:
    fields: dict[str, object] = {
        "layout": 1,
        "versions": (LIVE,),
        "progress": (Progress(2, "requests", "MAGI_LOG", 8, 3, True, "2026-01-31T12:00:00.000Z"),),
        "halts": (),
        "skips": (),
        "sizes": (Size(2, 5_000_000, 10),),
        "working": ("requests", "voters"),
        **changes,
    }
    return Status(**fields)  # type: ignore[arg-type]


def text(lines: object) -> str:
    return "\n".join(str(line) for line in lines)  # type: ignore[attr-defined]


def test_the_status_says_how_far_each_projection_is() -> None:
    assert text(show_status(status())) == (
        "version 2  live, 5.0 MB\n  requests  MAGI_LOG at 8, 3 behind, written 2026-01-31T12:00:00.000Z"
    )


def test_where_a_projection_stands_is_shown_with_the_way_out_and_can_not_steer_the_terminal() -> None:
    shown = text(show_status(status(halts=(HALT,))))
    assert "magi projections skip 9 --reason WHY" in shown
    assert "\x1b" not in shown
    assert "bad \\x1b[31m" in shown


def test_only_what_stands_behind_the_views_counts_as_standing() -> None:
    retired = Halt(1, *(getattr(HALT, name) for name in HALT.__struct_fields__[1:]))
    assert status(halts=(HALT,)).live_halts
    assert not status(halts=(retired,)).live_halts


def test_what_can_not_be_said_is_not_said() -> None:
    unknown = Progress(2, "requests", "MAGI_LOG", 8, None, None, "t")
    replaced = Progress(2, "voters", "MAGI_DIRECTORY", 8, None, False, "t")
    shown = text(show_status(status(progress=(unknown, replaced), working=())))
    assert "NATS doesn't answer" in shown
    assert "another stream is there now" in shown
    assert "no projector is at work" in shown


def test_skips_are_shown_with_who_and_why() -> None:
    hole = Skip("i", 5, 7, "requests", "", "lost in the fire", "ada")
    assert "requests 5–7 by ada: lost in the fire" in text(show_status(status(skips=(hole,))))


def test_a_difference_is_a_line() -> None:
    changed = Difference("votes", {"id": "x"}, {"vote": "fail", "n": None}, {"vote": "pass", "n": 1})
    assert str(show_difference(changed)) == "votes id=x: vote is fail, expected pass; n is null, expected 1"
    assert str(show_difference(Difference("votes", {"id": "x"}, None, {"vote": "pass"}))).endswith("missing")
    assert "no such row" in str(show_difference(Difference("votes", {"id": "x"}, {"vote": "pass"}, None)))


def test_verified_says_how_many_rows_differ_and_when_there_may_be_more() -> None:
    one = Difference("votes", {"id": "x"}, None, {})
    fine = Verified(1, {"requests": 8}, 12, ())
    assert "all 12 rows are what the log says (requests at 8)" in text(show_verified(fine))
    assert ": 1 row is not" in text(show_verified(Verified(1, {}, 12, (one,))))
    assert f"at least {MOST} rows" in text(show_verified(Verified(1, {}, 12, (one,) * MOST)))


def test_a_rebuild_that_differs_says_that_the_views_were_left() -> None:
    one = Difference("votes", {"id": "x"}, None, {})
    assert "on version 2" in text(show_rebuilt(Rebuilt(2, {}, {}, Verified(2, {}, 1, ()), True)))
    assert "where they were" in text(show_rebuilt(Rebuilt(2, {}, {}, Verified(2, {}, 1, (one,)), False)))
