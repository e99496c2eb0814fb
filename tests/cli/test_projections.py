"""`magi projections` over a running MAGI, as an operator uses it."""

import asyncio
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from magi.cli.context import Context
from magi.eventstore import subjects
from magi.projections.layout import VIEWS
from tests.again import Shared
from tests.cli.commands import magi
from tests.cli.serving import Serve
from tests.projections.histories import some_uuid
from tests.waiting import eventually

ASK = ("submit", "--query", "q", "--answer", "Some words.", "--voters", "melchior")


@contextlib.contextmanager
def three_judged(data: Path) -> Iterator[Serve]:
    with Serve(data) as running:
        for number in range(3):
            assert magi(*ASK, "--request-id", f"r{number}", data=running.data).code in (0, 1)
        eventually(lambda: caught_up(running.data), "everything is projected", 60)
        yield running


@pytest.fixture(scope="module")
def owned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared[Serve]]:
    with Shared(lambda: three_judged(tmp_path_factory.mktemp("own") / "data")) as shared:
        yield shared


@pytest.fixture
def own(owned: Shared[Serve], request: pytest.FixtureRequest) -> Serve:
    """A MAGI whose tables these tests may change, and find changed by others."""
    return owned.of(request)


def url_of(data: Path) -> str:
    return Context.load(data).settings.postgres.url


def sql(data: Path, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url_of(data), autocommit=True) as connection:
        cursor = connection.execute(query)
        return cursor.fetchall() if cursor.description else []


def live(data: Path) -> int:
    ((version,),) = sql(data, "SELECT version FROM magi_meta.versions WHERE state = 'live'")
    assert isinstance(version, int)
    return version


def caught_up(data: Path) -> bool:
    found = magi("projections", "status", "--json", data=data)
    if found.code:
        return False
    status = json.loads(found.stdout)
    return len(status["working"]) == 2 and all(
        p["behind"] == 0 for p in status["progress"] if p["version"] == live(data)
    )


def store(data: Path, subject: str, message: bytes) -> int:
    """Store what no MAGI would have. Returns its sequence."""

    async def put() -> int:
        async with Context.load(data).bus("orchestrator") as bus:
            return (await bus.store(subject, message)).seq

    return asyncio.run(put())


def test_the_status_says_how_far_each_projection_is(own: Serve) -> None:
    found = magi("projections", "status", data=own.data)
    assert found.code == 0
    assert found.stdout.count("0 behind") == 2


def test_a_row_changed_by_hand_is_named_and_a_rebuild_puts_it_right(own: Serve) -> None:
    assert magi("projections", "verify", data=own.data).code == 0
    before = live(own.data)
    sql(own.data, f"UPDATE magi_v{before}.requests SET reason = E'bribed \\x1b[2J' WHERE request_id = 'r1'")
    found = magi("projections", "verify", data=own.data)
    assert found.code == 1
    assert r"reason is bribed \x1b[2J, expected" in found.stdout
    assert found.lines[-1].startswith(f"version {before}: 1 row is not what the log says")
    told = json.loads(magi("projections", "verify", "--json", data=own.data).stdout)
    assert [difference["table"] for difference in told["differences"]] == ["requests"]

    rebuilt = magi("projections", "rebuild", data=own.data)
    assert rebuilt.code == 0, rebuilt.stderr
    assert rebuilt.lines[-1] == f"the views are on version {before + 1}"
    assert magi("projections", "verify", data=own.data).code == 0
    assert magi("projections", "verify", "--version", str(before), data=own.data).code == 1
    for view in VIEWS:
        sql(own.data, f"SELECT * FROM magi.{view}")


def test_the_views_go_back_to_an_older_version_and_what_they_are_not_on_is_dropped(own: Serve) -> None:
    assert magi("projections", "rebuild", "--json", data=own.data).code == 0
    new = live(own.data)
    assert magi("projections", "drop", str(new), data=own.data).code == 2
    back = magi("projections", "switch", str(new - 1), data=own.data)
    assert (back.code, back.stdout) == (0, f"the views are on version {new - 1}\n")
    assert magi("projections", "drop", str(new), data=own.data).stdout == f"version {new} is gone\n"
    assert magi("projections", "drop", str(new), data=own.data).code == 2
    assert magi("projections", "verify", data=own.data).code == 0


def test_an_event_that_can_not_be_applied_is_shown_and_skipped(own: Serve) -> None:
    poison = store(own.data, f"{subjects.LOG_PREFIX}local.{some_uuid()}", b'{"type":"received","content":"secret"}')
    assert magi(*ASK, "--request-id", "behind", data=own.data).code in (0, 1)  # nobody else minds
    eventually(lambda: magi("projections", "status", data=own.data).code == 1, "it stands", 60)
    status = magi("projections", "status", data=own.data).stdout
    assert f"magi projections skip {poison} --reason WHY" in status
    assert "secret" not in status
    assert magi("projections", "skip", str(poison + 1), "--reason", "x", data=own.data).code == 2
    assert magi("projections", "skip", str(poison), "--reason", "x", "--projection", "voters", data=own.data).code == 2
    skipped = magi("projections", "skip", str(poison), "--reason", "seen \x1b[2J", data=own.data)
    assert (skipped.code, skipped.stdout) == (0, f"requests passes over {poison}\n")
    eventually(lambda: caught_up(own.data), "it goes on", 60)
    assert r"seen \x1b[2J" in magi("projections", "status", data=own.data).stdout
    assert sql(own.data, "SELECT count(*) FROM magi.requests WHERE request_id = 'behind'") == [(1,)]
    assert magi("projections", "verify", data=own.data).code == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("verify", "--version", "99"), "there is no version 99"),
        (("verify", "--version", "0"), "greater than or equal to 1"),
        (("switch", "99"), "there is no version 99"),
        (("drop", "many"), "valid integer"),
        (("skip", "4711", "--reason", "x"), "no projection stands at 4711"),
        (("skip", "4711"), "Missing option"),
    ],
)
def test_what_can_not_be_done_is_said_and_exits_2(own: Serve, arguments: tuple[str, ...], complaint: str) -> None:
    found = magi("projections", *arguments, data=own.data)
    assert (found.code, found.stdout) == (2, "")
    assert complaint in found.complaint


@pytest.mark.parametrize(
    "command", [("status",), ("verify",), ("rebuild",), ("drop", "1"), ("skip", "1", "--reason", "x")]
)
def test_without_a_running_magi_or_a_postgres_it_is_said(nowhere: Path, command: tuple[str, ...]) -> None:
    found = magi("projections", *command, data=nowhere)
    assert (found.code, found.stdout) == (2, "")
    assert "no MAGI is running over" in found.stderr
    nobody = magi("projections", *command, data=nowhere, MAGI_POSTGRES_URL="postgresql://nobody@127.0.0.1:1/x")
    assert (nobody.code, nobody.stdout) == (2, "")
