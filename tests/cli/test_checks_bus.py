import pytest

from magi.cli.checks_bus import (
    Account,
    Limits,
    check_durability,
    judge_clock,
    judge_durability,
    judge_limits,
    judge_server,
    judge_streams,
)
from magi.eventstore.differences import Difference

NOW = 1_769_860_800_000


@pytest.mark.parametrize(
    ("version", "status"),
    [("2.15.1", "ok"), ("3.0.0", "ok"), ("2.14.9", "warning"), ("2.12.0", "warning"), ("2.11.8", "error")],
)
def test_the_servers_version_is_compared_with_what_is_needed(version: str, status: str) -> None:
    assert judge_server(version, "127.0.0.1:4222").status == status


def test_no_password_of_an_address_is_shown() -> None:
    assert "secret" not in judge_server("2.15.1", "user:secret@nats:4222").found


@pytest.mark.parametrize(
    ("server", "status"),
    [(0, "ok"), (5, "ok"), (-499, "ok"), (520, "warning"), (-600, "warning"), (6_000, "error"), (-6_000, "error")],
)
def test_the_clock_may_be_a_little_off(server: int, status: str) -> None:
    """`server` is how far the server's clock is ahead of ours; its answer took 10 ms."""
    assert judge_clock(NOW + server, NOW, NOW + 10).status == status


def test_a_slow_answer_is_no_wrong_clock() -> None:
    assert judge_clock(NOW + 3_000, NOW, NOW + 6_000).status == "ok"


def test_it_says_which_way_the_clock_is_off() -> None:
    assert "60.0 s behind" in judge_clock(NOW + 60_010, NOW, NOW + 10).found
    assert "60.0 s ahead of" in judge_clock(NOW - 60_000, NOW, NOW + 10).found


def test_streams_that_promise_less_are_errors_and_others_warnings() -> None:
    weaker = Difference("MAGI_LOG", "num_replicas", "3", "1", True)
    other = Difference("MAGI_LOG", "description", "a", "b", False)
    assert [f.status for f in judge_streams([weaker, other])] == ["error", "warning"]
    assert [f.status for f in judge_streams([])] == ["ok"]


@pytest.mark.parametrize(
    ("live", "declared", "status"),
    [
        ("always", "always", "ok"),
        ("always", "2m", "ok"),
        ("2m", "2m", "warning"),
        ("2m", "any", "warning"),
        ("2m", "always", "error"),
    ],
)
def test_durability_is_what_the_server_says(live: str, declared: str, status: str) -> None:
    assert judge_durability(live, declared).status == status


@pytest.mark.parametrize(
    ("url", "declared", "status"), [("", "any", "warning"), ("", "always", "error"), ("ftp://x", "always", "error")]
)
async def test_durability_that_can_not_be_read_is_told(url: str, declared: str, status: str) -> None:
    assert (await check_durability(url, declared)).status == status


@pytest.mark.parametrize(("used", "status"), [(10, "ok"), (80, "warning"), (98, "error"), (100, "error")])
def test_a_limit_is_told_before_it_is_reached(used: int, status: str) -> None:
    (of_account,) = judge_limits(Account(storage=used, limits=Limits(max_storage=100)), 0, -1)
    (of_server,) = judge_limits(Account(), used, 100)
    (of_streams,) = judge_limits(Account(streams=used, limits=Limits(max_streams=100)), 0, -1)
    assert {of_account.status, of_server.status, of_streams.status} == {status}


def test_without_limits_what_is_used_is_told() -> None:
    (found,) = judge_limits(Account(storage=2048, streams=5, consumers=12), 0, -1)
    assert found.found == "2.0 KiB in 5 streams, 12 consumers; no limit"
