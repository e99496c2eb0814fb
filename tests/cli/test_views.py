"""`magi serve` without its Postgres: it starts, judges, and makes up for the views once Postgres is back."""

import json
import os
import signal
from pathlib import Path

from tests.cli.commands import magi
from tests.cli.serving import Serve
from tests.waiting import eventually

ASK = ("submit", "--query", "q", "--answer", "Some words.", "--voters", "melchior", "--json")


def judged(data: Path, name: str) -> None:
    result = magi(*ASK, "--request-id", name, data=data)
    assert result.code in (0, 1), result.stderr
    assert json.loads(result.lines[-1])["decided_by"] == "votes"


def listed(data: Path, *more: str) -> list[str]:
    """Names of requests, the oldest first."""
    found = magi("requests", "list", "--json", *more, data=data)
    assert found.code == 0, found.stderr
    return [one["request_id"] for one in reversed(json.loads(found.stdout))]


def in_the_views(data: Path, *names: str) -> bool:
    if magi("projections", "status", data=data).code != 0:
        return False
    found = magi("requests", "list", "--json", data=data)
    return not found.stderr and [one["request_id"] for one in reversed(json.loads(found.stdout))] == [*names]


def test_requests_are_judged_while_postgres_is_dead_and_at_a_start_without_it(tmp_path: Path) -> None:
    with Serve(tmp_path / "data") as running:
        data = running.data
        judged(data, "before")
        eventually(lambda: in_the_views(data, "before"), "the first request is in the views", 30)
        version = data / "postgres" / "cluster" / "PG_VERSION"
        good = version.read_text()

        version.write_text("9\n")  # no PostgreSQL of ours starts over it
        os.kill(running.pid_of("postgres"), signal.SIGKILL)
        judged(data, "dead")
        away = magi("projections", "verify", data=data)
        assert (away.code, away.stdout) == (2, "")
        assert "Postgres can't be reached" in away.stderr
        assert magi("history", "dead", data=data).code == 0
        assert listed(data) == ["before", "dead"]  # from the log
        version.write_text(good)
        eventually(lambda: in_the_views(data, "before", "dead"), "the views are made up for", 30)
        assert magi("projections", "verify", data=data).code == 0

        version.write_text("9\n")
        running.stop()
        running.start()
        assert "views_stand_still" in running.stderr
        assert "PostgreSQL 9" in running.stderr
        judged(data, "started")
        away = magi("projections", "status", data=data)
        assert (away.code, away.stdout) == (2, "")
        assert "could not start its Postgres yet" in away.stderr
        assert listed(data) == ["before", "dead", "started"]
        version.write_text(good)
        eventually(lambda: in_the_views(data, "before", "dead", "started"), "Postgres and its projector come", 30)
        assert magi("projections", "verify", data=data).code == 0
        assert magi("doctor", data=data).code == 0
        assert running.process.poll() is None
