import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from magi.domain.messages import Opinion
from magi.embedded.nkey import public_key
from magi.eventstore.bus import Bus, CannotConnect, NoAck
from magi.voters import Task
from tests.cli.commands import magi
from tests.cli.conftest import Voters
from tests.cli.serving import Serve, environment
from tests.servers import NatsServer
from tests.waiting import until

GROUP = ("--group", "tests")


def row(serve: Serve, voter: str) -> dict[str, object]:
    listed = json.loads(magi("voters", "list", "--json", data=serve.data).stdout)
    found: dict[str, object] = next(row for row in listed if row["voter_id"] == voter)
    return found


async def told(serve: Serve, *arguments: str) -> bytes:
    """What a command prints, from an async test: its voters go on beating their hearts meanwhile."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "magi", *arguments), env=environment(MAGI_DATA=str(serve.data)), stdout=PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output


def test_a_voter_on_the_bus_gets_a_seed_as_the_last_word(serve: Serve) -> None:
    added = magi("voters", "add", "vot-seed", "--kind", "nats", "--description", "judges", *GROUP, data=serve.data)
    assert (added.code, added.stderr) == (0, "")
    assert added.last_word.startswith("SU")
    assert serve.nats_url in added.stdout
    assert "nats-server lets it in" in added.stdout
    found = row(serve, "vot-seed")
    assert (found["kind"], found["group"], found["status"], found["description"]) == (
        "nats",
        "tests",
        "active",
        "judges",
    )
    assert (found["instances"], found["waiting"], found["taken"]) == (0, 0, 0)


def test_for_a_nats_of_ones_own_it_prints_the_rights_to_give(fresh_nats: NatsServer, nowhere: Path) -> None:
    variables = {"MAGI_NATS_URL": fresh_nats.url, "MAGI_NATS_SYNC_INTERVAL": "any"}
    assert magi("streams", "apply", data=nowhere, **variables).code == 0
    added = magi("voters", "add", "vot-far", "--kind", "nats", data=nowhere, **variables)
    assert added.code == 0
    assert added.last_word.startswith("SU")
    assert public_key(added.last_word) in added.stdout
    assert '"magi.inbox.*.ballot.vot-far"' in added.stdout
    assert "vot-far" in magi("voters", "list", data=nowhere, **variables).stdout


def test_a_seed_is_stored_nowhere(serve: Serve) -> None:
    seed = magi("voters", "add", "vot-secret", "--kind", "nats", *GROUP, data=serve.data).last_word.encode()
    assert [file for file in serve.data.rglob("*") if file.is_file() and seed in file.read_bytes()] == []


def test_a_voter_within_magi_gets_no_key(serve: Serve) -> None:
    added = magi("voters", "add", "vot-inside", "--kind", "builtin", *GROUP, data=serve.data)
    assert added.code == 0
    assert "magi voter vot-inside=MODULE:FUNCTION" in added.stdout


def test_an_unknown_kind_is_refused_with_those_there_are(serve: Serve) -> None:
    refused = magi("voters", "add", "vot-odd", "--kind", "human", data=serve.data)
    assert refused.code == 2
    assert "builtin, nats" in refused.complaint


def test_a_name_that_can_be_none_is_refused_before_anything_is_made(serve: Serve) -> None:
    refused = magi("voters", "add", "a.b", "--kind", "nats", data=serve.data)
    assert refused.code == 2
    assert "voter" in refused.stderr


def test_a_suspended_voter_judges_nothing_until_it_is_reinstated(serve: Serve) -> None:
    magi("voters", "add", "vot-pause", "--kind", "builtin", *GROUP, data=serve.data)
    submit = ("submit", "--query", "q", "--answer", "a", "--voters", "vot-pause", "--timeout-ms", "100")
    suspended = magi("voters", "suspend", "vot-pause", "--reason", "on holiday", data=serve.data)
    assert suspended.stdout == "Voter vot-pause is suspended.\n"
    found = row(serve, "vot-pause")
    assert (found["status"], found["reason"]) == ("suspended", "on holiday")
    refused = magi(*submit, data=serve.data)
    assert "voter_unavailable" in refused.stderr
    assert magi("voters", "suspend", "vot-pause", data=serve.data).stdout == "Voter vot-pause is suspended already.\n"
    assert magi("voters", "reinstate", "vot-pause", data=serve.data).code == 0
    assert magi(*submit, data=serve.data).code == 1  # nobody runs it: it is missing


def test_an_unknown_voter_is_an_error(serve: Serve) -> None:
    refused = magi("voters", "suspend", "vot-nobody", data=serve.data)
    assert (refused.code, refused.stderr) == (2, "magi: no voter named 'vot-nobody' is registered\n")


async def test_a_revoked_voters_key_is_worth_nothing(serve: Serve) -> None:
    seed = (await told(serve, "voters", "add", "vot-revoked", "--kind", "nats", *GROUP)).split()[-1].decode()

    async def lets_in() -> bool:
        try:
            bus = await Bus.connect(serve.nats_url, name="t", seed=seed, inbox_prefix="_INBOX_vot-revoked")
        except CannotConnect:
            return False
        await bus.close()
        return True

    assert await lets_in()
    await told(serve, "voters", "revoke", "vot-revoked")

    async def refuses() -> bool:
        return not await lets_in()

    await until(refuses, "nats-server refuses the key")


async def test_a_voter_may_only_do_what_is_a_voters(serve: Serve, seeds: dict[str, str]) -> None:
    bus = await Bus.connect(serve.nats_url, name="t", seed=seeds["voter_1"], inbox_prefix="_INBOX_voter_1")
    try:
        with pytest.raises(NoAck):
            await bus.request("$JS.API.STREAM.INFO.MAGI_LOG", timeout=0.3)
        assert b"voter-voter_1" in await bus.request("$JS.API.CONSUMER.INFO.MAGI_TASKS.voter-voter_1")
    finally:
        await bus.close()


async def test_instances_that_run_are_counted(serve: Serve, voters: Voters) -> None:
    async def judge(task: Task) -> Opinion:
        return Opinion.passes()

    await voters.start("voter_2", judge)
    await voters.start("voter_2", judge)

    async def counted() -> bool:
        listed = json.loads(await told(serve, "voters", "list", "--json"))
        found = next(row for row in listed if row["voter_id"] == "voter_2")
        return (found["instances"], found["capacity"]) == (2, 16)

    await until(counted, "both instances are counted")


@pytest.mark.usefixtures("process_voters")
def test_the_list_has_a_line_each(serve: Serve) -> None:
    lines = magi("voters", "list", data=serve.data).lines
    assert lines[0].split()[:7] == ["voter", "kind", "group", "status", "since", "instances", "capacity"]
    assert next(line for line in lines if line.startswith("yes ")).split()[1:4] == ["builtin", "tests", "active"]
