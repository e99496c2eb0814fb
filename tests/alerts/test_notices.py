"""`magi.alerts.notices`: what is posted, and when."""

import msgspec

from magi.alerts.alert import Alert
from magi.alerts.notices import Notice, Notices, Told, body


def alert(part: str, value: float = 0.0, name: str = "MagiPartDown") -> Alert:
    return Alert(
        name=name,
        state="firing",
        severity="critical",
        since=0.0,
        firing_since=30.0,
        value=value,
        labels={"part": part},
        summary=f"the {part} doesn't answer",
        annotations={"runbook_url": "docs/operations.md#magipartdown"},
    )


def told(notices: list[Notice]) -> list[tuple[str, list[str], list[str]]]:
    def parts(alerts: tuple[Alert, ...]) -> list[str]:
        return [one.labels["part"] for one in alerts]

    return [(notice.type, parts(notice.firing), parts(notice.resolved)) for notice in notices]


def delivered(notices: Notices, alerts: list[Alert], at: float) -> list[tuple[str, list[str], list[str]]]:
    due = notices.due(alerts, set(), at)
    for notice in due:
        notices.ended(notice, True)
    return told(due)


def test_one_notice_at_once_then_changes_a_minute_later_and_an_end() -> None:
    notices = Notices(3600)
    a, b = alert("a"), alert("b")
    assert delivered(notices, [a], 0) == [("alert.firing", ["a"], [])]
    assert delivered(notices, [a, b], 15) == []
    assert delivered(notices, [a, b], 60) == [("alert.firing", ["a", "b"], [])]
    assert delivered(notices, [b], 120) == [("alert.firing", ["b"], ["a"])]
    assert delivered(notices, [], 130) == []
    assert delivered(notices, [], 180) == [("alert.resolved", [], ["b"])]
    assert delivered(notices, [], 300) == []
    assert delivered(notices, [a], 301) == [("alert.firing", ["a"], [])]


def test_what_fires_on_is_repeated_unless_that_is_not_wanted() -> None:
    notices, never = Notices(3600), Notices(0)
    for one in (notices, never):
        delivered(one, [alert("a")], 0)
    assert delivered(notices, [alert("a")], 3599) == []
    assert delivered(notices, [alert("a")], 3600) == [("alert.firing", ["a"], [])]
    assert delivered(never, [alert("a")], 1e9) == []


def test_a_clock_that_was_set_back_keeps_no_notice_waiting() -> None:
    notices = Notices(3600)
    assert delivered(notices, [alert("a")], 100_000) == [("alert.firing", ["a"], [])]
    assert delivered(notices, [], 50_000) == [("alert.resolved", [], ["a"])]


def test_what_nobody_took_is_due_again_and_not_twice_at_once() -> None:
    notices = Notices(3600)
    (first,) = notices.due([alert("a")], set(), 0)
    assert notices.due([alert("a")], set(), 15) == []  # it is under way
    notices.ended(first, False)
    assert told(notices.due([alert("a")], set(), 30)) == [("alert.firing", ["a"], [])]


def test_a_restart_repeats_nothing_and_still_tells_the_end() -> None:
    notices = Notices(3600, {"MagiPartDown": Told(0.0, (alert("a"),))})
    assert delivered(notices, [alert("a")], 100) == []
    assert delivered(notices, [], 115) == [("alert.resolved", [], ["a"])]


def test_what_the_orchestrators_have_told_is_not_told_again() -> None:
    notices = Notices(3600)
    casper, melchior = alert("casper", name="MagiVoterMissing"), alert("melchior", name="MagiVoterMissing")
    due = notices.due([casper, melchior], {casper.key}, 0)
    assert told(due) == [("alert.firing", ["melchior"], [])]
    notices.ended(due[0], True)
    # Of what was told first the end is told, whatever the orchestrators say meanwhile.
    assert notices.due([casper, melchior], {casper.key, melchior.key}, 100) == []
    assert told(notices.due([casper], {casper.key}, 160)) == [("alert.resolved", [], ["melchior"])]


def test_the_body_is_json_whatever_the_value() -> None:
    many = tuple(alert(f"part {n}", float("inf")) for n in range(60))
    found = msgspec.json.decode(body(Notice("MagiPartDown", "alert.firing", 0.0, many, ()), "magi@here"))
    assert (found["type"], found["timestamp"]) == ("alert.firing", "1970-01-01T00:00:00.000Z")
    data = found["data"]
    assert (data["alert"], data["severity"], data["by"], data["more"]) == ("MagiPartDown", "critical", "magi@here", 10)
    assert data["runbook"] == "docs/operations.md#magipartdown"
    assert len(data["firing"]) == 50
    assert data["firing"][0] == {
        "summary": "the part 0 doesn't answer",
        "since": "1970-01-01T00:00:00.000Z",
        "value": None,
        "labels": {"part": "part 0"},
    }
