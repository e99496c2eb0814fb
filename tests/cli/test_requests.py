"""`magi requests list`, from the log alone."""

import json

import pytest

from tests.cli.auditor import Auditor

ALL = {f"request-{number}" for number in range(6)}


def test_requests_are_listed_the_newest_first(auditor: Auditor) -> None:
    found = auditor.magi("requests", "list", "--from-log")
    assert found.code == 0, found.stderr
    assert found.lines[0].split()[:3] == ["received", "initiator", "request"]
    assert {line.split()[2] for line in found.lines[1:]} == ALL
    times = [line.split()[0] for line in found.lines[1:]]
    assert times == sorted(times, reverse=True)
    assert all(line.split()[4] == "3/3" for line in found.lines[1:])


def test_filters_choose(auditor: Auditor) -> None:
    def listed(*arguments: str) -> set[str]:
        rows = json.loads(auditor.magi("requests", "list", "--from-log", "--json", *arguments).stdout)
        return {row["request_id"] for row in rows}

    assert listed("--verdict", "fail") == {"request-5", "request-2"}
    assert len(listed("--verdict", "pass", "--limit", "2")) == 2
    assert listed("--voter", "a", "--strategy", "minority_rule", "--initiator", "agent", "--since", "1h") == ALL
    assert listed("--until", "1h") == set()
    assert listed("--verdict", "open") == set()


def test_nothing_found_is_said(auditor: Auditor) -> None:
    found = auditor.magi("requests", "list", "--from-log", "--voter", "nobody")
    assert (found.code, found.stdout) == (0, "No request matches.\n")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--verdict", "maybe"), "expected one of pass, fail, open, got 'maybe'"),
        (("--since", "then"), "--since: expected a time"),
        (("--limit", "0"), "greater than or equal to 1"),
    ],
)
def test_a_bad_filter_is_refused(auditor: Auditor, arguments: tuple[str, ...], complaint: str) -> None:
    found = auditor.magi("requests", "list", *arguments)
    assert found.code == 2
    assert complaint in found.complaint
