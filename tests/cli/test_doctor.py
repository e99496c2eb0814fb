import json
from pathlib import Path

from tests.cli.commands import magi
from tests.cli.serving import Serve
from tests.servers import NatsServer
from tests.waiting import eventually


def test_a_magi_that_runs_has_no_errors(serve: Serve) -> None:
    eventually(lambda: magi("doctor", data=serve.data).code == 0, "no errors are found", 30)
    result = magi("doctor", "--json", data=serve.data)
    found = {row["check"]: row for row in json.loads(result.stdout)}
    assert (result.code, result.stderr) == (0, "")
    expected = (
        "programs,data directory,disk,nats,clock,streams,sync_interval,jetstream,inbox,partitions,orchestrators,panel"
    )
    assert set(found) >= {*expected.split(","), "voter melchior", "gateway", "postgres"}
    assert [check for check, row in found.items() if row["status"] == "error"] == []
    assert found["sync_interval"]["status"] == "warning"  # these tests run with fast storage
    assert found["partitions"]["found"] == "all 8 are read"
    assert serve.url in found["gateway"]["found"]


def test_what_is_found_is_readable(serve: Serve) -> None:
    lines = magi("doctor", data=serve.data).lines
    assert lines[0].split()[:3] == ["ok", "programs", "magi"]
    assert lines[-1].endswith(".")


def test_where_nothing_runs_it_says_what_to_start(nowhere: Path) -> None:
    result = magi("doctor", data=nowhere)
    assert (result.code, result.stderr) == (1, "")
    assert "magi serve" in result.stdout


def test_a_setting_that_can_not_be_used_keeps_it_from_looking(nowhere: Path) -> None:
    result = magi("doctor", data=nowhere, MAGI_NATS_REPLICAS="many")
    assert result.code == 2
    assert "MAGI_NATS_REPLICAS" in result.stderr


def test_a_nats_that_does_not_answer_is_an_error(nowhere: Path) -> None:
    result = magi("doctor", "--json", data=nowhere, MAGI_NATS_URL="nats://127.0.0.1:1")
    assert result.code == 1
    rows = {row["check"]: row for row in json.loads(result.stdout)}
    assert rows["nats"]["status"] == "error"
    assert {"gateway", "postgres"} <= set(rows)  # what needs no NATS is looked at all the same


def test_a_nats_without_streams_is_looked_at_all_the_same(fresh_nats: NatsServer, nowhere: Path) -> None:
    variables = {"MAGI_NATS_URL": fresh_nats.url, "MAGI_NATS_MONITOR_URL": fresh_nats.monitor_url}
    result = magi("doctor", "--json", data=nowhere, **variables)
    rows = json.loads(result.stdout)
    assert result.code == 1
    assert {row["check"] for row in rows if row["status"] == "error"} >= {"streams", "sync_interval", "partitions"}
    assert next(row for row in rows if row["check"] == "nats")["status"] == "ok"
    assert all(row["advice"] for row in rows if row["status"] != "ok")


def test_streams_that_promise_less_are_found(fresh_nats: NatsServer, nowhere: Path) -> None:
    variables = {"MAGI_NATS_URL": fresh_nats.url, "MAGI_NATS_SYNC_INTERVAL": "any"}
    assert magi("streams", "apply", data=nowhere, **variables).code == 0
    rows = json.loads(magi("doctor", "--json", data=nowhere, **variables).stdout)
    assert [row["status"] for row in rows if row["check"] == "streams"] == ["ok"]
    rows = json.loads(magi("doctor", "--json", data=nowhere, **variables, MAGI_NATS_REPLICAS="3").stdout)
    assert {row["status"] for row in rows if row["check"] == "streams"} == {"error"}
