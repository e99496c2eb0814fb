import pytest

from magi.cli.checks_capacity import Varz, judge_connections, judge_files, judge_payload


@pytest.mark.parametrize(("size", "status"), [(4 * 2**20, "ok"), (2**20, "ok"), (2**20 - 1, "error")])
def test_as_large_messages_as_the_streams_take_are_needed(size: int, status: str) -> None:
    assert judge_payload(size).status == status


def test_connections_are_told_before_the_last_one() -> None:
    assert judge_connections(Varz(connections=79, max_connections=100)) == []
    assert [f.status for f in judge_connections(Varz(connections=80, max_connections=100))] == ["warning"]
    assert judge_connections(Varz(connections=80)) == []


@pytest.mark.parametrize(
    ("limit", "connections", "status"),
    [(1024, 5000, "warning"), (5063, 5000, "warning"), (5064, 5000, "ok"), (-1, 5000, "ok"), (1024, 0, "warning")],
)
def test_a_gateway_needs_an_open_file_for_each_connection(limit: int, connections: int, status: str) -> None:
    assert judge_files(limit, connections, "the gateway's").status == status
