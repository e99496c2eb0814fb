"""`magi replay`: the same verdicts, or a loud difference; and what other rules would have said."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.audit.histories import START, Book, changed, directory, rewritten
from tests.audit.together import regrouped
from tests.cli.auditor import AS_AGENT, Auditor, holding


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Auditor]:
    """Five requests, some events of each stored together: all agreed, two split, one was left to its deadline, one is
    open."""
    book = Book()
    book.request("agreed", a="pass", b="pass", c="pass")
    book.request("split", now=START + 60_000, a="pass", b="fail", c="pass")
    book.request("=split", now=START + 120_000, a="pass", b="pass", c="fail")
    book.request("late", now=START + 180_000, a="pass")
    book.receive("open", now=START + 240_000)
    with holding(tmp_path_factory.mktemp("five"), regrouped(book.messages, Random(1)), directory()) as found:
        yield found


@pytest.fixture
def forged(tmp_path: Path) -> Iterator[Auditor]:
    """One request whose verdict was changed, with every hash made right again."""
    book = Book()
    book.request("one", a="pass", b="pass", c="fail")
    messages = rewritten(changed(book.messages, 7, b'"final_vote":"pass"', b'"final_vote":"fail"'))
    with holding(tmp_path, messages, directory()) as found:
        yield found


def test_one_request_is_shown_step_by_step_and_decided_again(five: Auditor) -> None:
    found = five.magi("replay", "split", *AS_AGENT)
    assert found.code == 0, found.stderr
    steps = [line for line in found.lines if line[:3].strip().isdigit()]
    assert len(steps) == 8
    assert steps[0].split()[2:] == ["0", "0", "0", "3", "fail", "(quorum)"]
    assert steps[5].split()[2:] == ["b", "fail", "1", "1", "0", "1", "fail", "(tie)"]
    assert "recorded  pass (majority, decided by votes)" in found.stdout
    assert "again     pass (the same)" in found.stdout
    assert found.lines[-1] == "certain   after 3 of 3 votes"


def test_what_another_rule_would_have_said_of_it(five: Auditor) -> None:
    found = five.magi("replay", "split", *AS_AGENT, "--strategy", "veto:holders=b")
    assert found.code == 0
    assert "what if   fail (CHANGED: veto (quorum=2, holders=['b']): veto)" in found.stdout
    found = five.magi("replay", "split", *AS_AGENT, "--strategy", "threshold:k=9")
    assert "expected at most 3, the panel's size, got 9" in found.stdout


def test_a_verdict_that_does_not_follow_is_loud_and_exits_1(forged: Auditor) -> None:
    found = forged.magi("replay", "one", *AS_AGENT)
    assert found.code == 1
    assert "DIFFERENT" in found.stdout
    assert "final_vote is fail, decided again it is pass" in found.stdout
    report = json.loads(forged.magi("replay", "one", *AS_AGENT, "--json").stdout)
    assert (report["same"], report["differences"][0]["field"]) == (False, "final_vote")
    everything = forged.magi("replay", "--all")
    assert everything.code == 1
    assert "DIFFERENT: 1 recorded verdicts do not follow again" in everything.stdout


def test_an_open_request_has_no_verdict_to_decide_again(five: Auditor) -> None:
    found = five.magi("replay", "open", *AS_AGENT)
    assert found.code == 0
    assert "waiting for a, b, c" in found.lines[-1]
    assert json.loads(five.magi("replay", "open", *AS_AGENT, "--json").stdout)["recorded"] == "open"


def test_the_whole_log_is_decided_again_as_it_was(five: Auditor) -> None:
    found = five.magi("replay", "--all")
    assert found.code == 0
    assert found.lines[0] == "4 decided requests of 29 events; 1 open"
    assert "Every recorded verdict that could be decided again is the same." in found.stdout
    assert "votes needed: 2.33 a request of 3.00 cast" in found.stdout


def test_what_if_tells_counts_changes_errors_and_votes_needed(five: Auditor, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("request_id,initiator,label\nagreed,agent,pass\nsplit,,fail\n=split,agent,fail\nother,,fail\n")
    rows = tmp_path / "rows.csv"
    asked = ("replay", "--all", "--strategy", "veto", "--labels", str(labels))
    found = five.magi(*asked, "--csv", str(rows))
    assert found.code == 0, found.stderr
    assert "2 of 4 verdicts would have been others" in found.stdout
    lines = [line.split() for line in found.lines]
    assert ["pass", "3", "1", "-2"] in lines
    assert ["fail", "1", "3", "+2"] in lines
    assert "agent      split    pass (majority)  fail (veto)" in found.stdout
    assert "false accepts   2 of 2 (100.0%)  0 of 2 (0.0%)" in found.stdout
    with rows.open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [(row["request_id"], row["again"], row["changed"], row["label"]) for row in table] == [
        ("agreed", "pass", "no", "pass"),
        ("split", "fail", "yes", "fail"),
        ("=split", "fail", "yes", "fail"),
        ("late", "fail", "no", ""),
    ]
    report = json.loads(five.magi(*asked, "--json").stdout)
    assert (report["requests"], report["changed"], report["different"]) == (4, 2, 0)
    assert report["again"] == {"pass": 1, "fail": 3}
    assert report["labels"]["false_accept_rate"] == 1.0
    assert report["labels_again"]["false_accepts"] == 0
    assert report["at_deadline"] == 1


def test_times_choose_what_is_replayed(five: Auditor) -> None:
    asked = ("replay", "--all", "--json", "--since", "2026-01-31T12:01:00Z", "--until", "2026-01-31T12:03")
    assert json.loads(five.magi(*asked).stdout)["requests"] == 2


def test_what_a_real_magi_has_decided_follows_again(auditor: Auditor) -> None:
    found = auditor.magi("replay", "--all", "--strategy", '{"name": "unanimous"}')
    assert found.code == 0, found.stderr
    assert "6 decided requests of 48 events; 0 open" in found.stdout
    assert "2 of 6 verdicts would have been others" in found.stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "expected either a REQUEST_ID or --all"),
        (("one", "--all"), "expected either a REQUEST_ID or --all"),
        (("one", "--labels", "x"), "go with --all"),
        (("--all", "--strategy", "vetto"), "no strategy is named 'vetto'"),
        (("--all", "--strategy", "threshold:q=2"), "unknown field"),
        (("--all", "--strategy", "threshold:k"), "NAME:PARAMETER=VALUE"),
        (("--all", "--strategy", "{"), "not JSON"),
        (("--all", "--since", "soon"), "--since: expected a time"),
        (("--all", "--labels", "/no/such/file"), "/no/such/file: can't be read"),
        (("--all", "--csv", "/no/such/folder/file"), "No such file or directory"),
        (("nothing",), "nothing is stored of a request 'nothing'"),
    ],
)
def test_what_can_not_be_done_is_said_and_exits_2(five: Auditor, arguments: tuple[str, ...], complaint: str) -> None:
    found = five.magi("replay", *arguments)
    assert found.code == 2
    assert complaint in found.complaint


def test_events_that_can_not_be_read_are_counted_and_exit_1(tmp_path: Path) -> None:
    book = Book()
    book.request("one", a="pass", b="pass", c="pass")
    messages = changed(book.messages, 3, b'"voter_progress"', b'"voter_prograss"')
    with holding(tmp_path, messages, directory()) as found:
        replayed = found.magi("replay", "--all")
        assert replayed.code == 1
        assert "1 events can't be read" in replayed.stdout
        one = found.magi("replay", "one", *AS_AGENT)
        assert one.code == 2
        assert "version 4: not an event" in one.stderr
