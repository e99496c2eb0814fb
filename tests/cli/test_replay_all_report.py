"""What came of replaying a log."""

from rich.text import Text

from magi.audit.replay import Replay
from magi.audit.what_if import Alternative
from magi.cli.replay_all_report import CSV_COLUMNS, SHOWN, csv_row, report_of, show_report
from tests.audit.histories import START, Book


def text(replay: Replay, strategy: str) -> str:
    lines = show_report(report_of(replay, strategy))
    return "\n".join(line.plain if isinstance(line, Text) else line for line in lines)


def split(count: int) -> Book:
    book = Book()
    for number in range(count):
        book.request(f"request {number}", now=START + number, a="pass", b="fail", c="pass")
    return book


def test_more_changes_than_are_shown_are_counted() -> None:
    replay = Replay(Alternative("veto"))
    for message in split(SHOWN + 7).messages:
        replay.feed(message)
    shown = text(replay, "veto")
    assert "… and 7 more: --csv FILE has them all" in shown
    assert shown.count("pass (majority)") == SHOWN
    assert len(report_of(replay, "veto").changes) == SHOWN + 7


def test_an_empty_log_says_so_without_a_table() -> None:
    shown = text(Replay(), "")
    assert shown.splitlines()[0] == "0 decided requests of 0 events; 0 open"
    assert "No verdict was certain" in shown


def test_rules_that_fit_nobody_are_told_with_their_reason() -> None:
    replay = Replay(Alternative("threshold"))
    for message in split(2).messages:
        replay.feed(message)
    shown = text(replay, "threshold")
    assert "2 can't be decided by threshold: strategy threshold: expected exactly one of k and ratio" in shown
    assert "not applicable" in shown


def test_a_row_has_a_field_for_every_column() -> None:
    replay = Replay()
    rows = [csv_row(one) for message in split(1).messages for one in replay.feed(message)]
    assert [len(row) for row in rows] == [len(CSV_COLUMNS)]
    assert dict(zip(CSV_COLUMNS, rows[0], strict=True))["votes"] == "a=pass b=fail c=pass"
