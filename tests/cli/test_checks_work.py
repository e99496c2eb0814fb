import msgspec
import pytest

from magi.cli.checks_work import (
    Partition,
    judge_default_panel,
    judge_inbox,
    judge_orchestrators,
    judge_partitions,
    judge_voters,
)
from magi.cli.directory_report import VoterRow
from magi.domain.ids import VoterId
from magi.domain.panel import Candidate, Snapshot
from magi.eventstore.presence import Instance


def partition(
    number: int = 0, untaken: int = 0, oldest_ms: int = 0, put_off: int = 0, *, read: bool = True
) -> Partition:
    return Partition(f"inbox-{number}", untaken, put_off, read, oldest_ms)


def voter(
    name: str = "v", instances: int = 1, waiting: int | None = 0, group: str = "g", status: str = "active"
) -> VoterRow:
    return VoterRow(name, "nats", group, status, "", instances, 8 * instances, waiting, 0, "", "")


def test_open_requests_are_no_backlog() -> None:
    found = judge_inbox([partition(put_off=400)], 400, 500_000)
    assert found.status == "ok"
    assert found.found == "400 messages: 400 open, 0 not taken yet"


@pytest.mark.parametrize(("oldest_ms", "status"), [(9_000, "ok"), (11_000, "warning")])
def test_messages_that_nobody_takes_are_told(oldest_ms: int, status: str) -> None:
    found = judge_inbox([partition(), partition(1, untaken=3, oldest_ms=oldest_ms)], 3, 500_000)
    assert found.status == status
    assert f"3 not taken yet, the oldest for {oldest_ms / 1000} s" in found.found


def test_an_inbox_that_is_nearly_full_is_an_error() -> None:
    assert judge_inbox([partition(put_off=80)], 80, 100).status == "error"
    assert judge_inbox([partition(put_off=80)], 80, -1).status == "ok"


def test_partitions_that_nobody_reads_are_named_in_their_order() -> None:
    found = judge_partitions([partition(10, read=False), partition(9, read=False), partition(0)])
    assert (found.status, found.found) == ("error", "nobody reads 9, 10 of 3")
    assert judge_partitions([partition()]).status == "ok"
    assert judge_partitions([]).status == "error"


def test_no_orchestrator_is_an_error() -> None:
    assert judge_orchestrators([]).status == "error"
    assert judge_orchestrators([Instance("orchestrator", "1")]).status == "ok"


def statuses(*rows: VoterRow) -> list[tuple[str, str]]:
    return [(finding.check, finding.status) for finding in judge_voters(rows, "g")]


def test_a_panel_needs_an_active_voter_of_the_default_group() -> None:
    assert statuses(voter(group="other")) == [("panel", "error"), ("voter v", "ok")]
    assert statuses(voter(status="suspended")) == [("panel", "error")]
    assert statuses() == [("panel", "error")]


def test_a_panel_of_which_nobody_is_alive_is_an_error() -> None:
    assert statuses(voter(instances=0)) == [("panel", "error"), ("voter v", "warning")]


def default_panel(*members: str) -> Snapshot:
    able = {VoterId(name): Candidate("active") for name in ("a", "b")}
    return Snapshot(able, templates={"code": members}, default="code")


def test_a_default_panel_must_be_one_that_can_be_formed() -> None:
    alive, silent = voter("a"), voter("b", instances=0)
    assert judge_default_panel(default_panel("a"), [alive]).status == "ok"
    assert judge_default_panel(default_panel("a", "b"), [alive, silent]).status == "warning"
    assert judge_default_panel(default_panel("b"), [alive, silent]).status == "error"
    assert judge_default_panel(default_panel("a", "nobody"), [alive]).status == "error"
    gone = msgspec.structs.replace(default_panel("a"), default="gone")
    assert "'gone' is not defined" in judge_default_panel(gone, [alive]).found


def test_one_silent_voter_is_a_warning() -> None:
    assert statuses(voter("a"), voter("b", instances=0)) == [("panel", "ok"), ("voter a", "ok"), ("voter b", "warning")]


def test_a_voter_that_falls_behind_is_a_warning() -> None:
    assert statuses(voter(waiting=2000)) == [("panel", "ok"), ("voter v", "warning")]


def test_a_voter_without_a_consumer_gets_no_tasks() -> None:
    assert statuses(voter(waiting=None)) == [("panel", "ok"), ("voter v", "error")]
