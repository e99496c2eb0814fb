"""The example voters in other languages and without MAGI, run as their readers run them."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from magi.domain.ids import VoterId
from magi.domain.messages import encode
from magi.embedded import nkey
from magi.eventstore.rights import voter_rights
from tests.gateway.voters.office import Office
from tests.orchestrator.world import World
from tests.servers import NatsServer
from tests.voters.desk import Desk
from tests.waiting import until

EXAMPLES = Path(__file__).parents[3] / "examples" / "voters"
PACKAGES = ("ws@8.23.0", "@nats-io/transport-node@3.4.0", "@nats-io/jetstream@3.4.0")
NODE = shutil.which("node")
NPM = shutil.which("npm")


@pytest.fixture(scope="module")
def node_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the examples find their packages."""
    if NODE is None or NPM is None:
        pytest.skip("no node and npm here")
    folder = tmp_path_factory.mktemp("node")
    install = [NPM, "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", *PACKAGES]
    try:
        done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=100)
    except subprocess.TimeoutExpired:
        pytest.skip("npm could not install the packages within 100 s")
    if done.returncode:
        pytest.skip(f"npm could not install the packages: {done.stderr[-300:]}")
    for example in EXAMPLES.glob("*.mjs"):
        shutil.copy(example, folder)
    return folder


@asynccontextmanager
async def running(*command: str, folder: Path, **variables: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program that is stopped in the end; what it says on stderr is shown by pytest."""
    environment: Mapping[str, str] = {**os.environ, **variables}
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, env=environment)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def check_votes(desk: Desk) -> None:
    """Give it tasks; return when it has voted rightly on all and none is left."""
    answers = [f"answer {number}" + (" // TODO" if number % 3 == 0 else "") for number in range(10)]
    tasks = [desk.task(answer) for answer in answers]
    for task in tasks:
        await desk.put(encode(task))
    await until(desk.nothing_left, "all tasks are done", 30)
    expected = {task.task_id: "fail" if "TODO" in task.agent_answer else "pass" for task in tasks}
    assert {ballot.task_id: ballot.vote for ballot in await desk.results()} == expected


class TestWebSocket:
    @pytest.mark.parametrize("flags", [(), ("--experimental-websocket",)], ids=["ws or built in", "built in"])
    async def test_javascript(self, office: Office, node_folder: Path, flags: tuple[str, ...]) -> None:
        assert NODE
        command = [NODE, *flags, "websocket_voter.mjs", f"ws://127.0.0.1:{office.gateway.port}/v1/voter"]
        async with running(*command, folder=node_folder, MAGI_VOTER_TOKEN=office.token):
            await check_votes(office.desk)

    async def test_python(self, office: Office, tmp_path: Path) -> None:
        url = f"ws://127.0.0.1:{office.gateway.port}/v1/voter"
        command = [sys.executable, str(EXAMPLES / "websocket_voter.py"), url]
        async with running(*command, folder=tmp_path, MAGI_VOTER_TOKEN=office.token):
            await check_votes(office.desk)

    @pytest.mark.parametrize("language", ["python", "javascript"])
    async def test_it_comes_back_after_a_lost_connection_and_not_with_a_revoked_token(
        self, office: Office, node_folder: Path, language: str
    ) -> None:
        assert NODE
        program = {
            "python": [sys.executable, str(EXAMPLES / "websocket_voter.py")],
            "javascript": [NODE, "websocket_voter.mjs"],
        }[language]
        url = f"ws://127.0.0.1:{office.gateway.port}/v1/voter"
        async with running(*program, url, folder=node_folder, MAGI_VOTER_TOKEN=office.token) as process:
            await check_votes(office.desk)
            for session in list(office.gateway._sessions):
                session.outbound.abort()
            (task,) = await office.desk.give()
            await until(office.desk.nothing_left, "it votes again", 30)
            assert task.task_id in {ballot.task_id for ballot in await office.desk.results()}
            await office.revoke_token("ada", office.token)
            assert await asyncio.wait_for(process.wait(), 30) == 1


async def test_javascript_on_the_bus_needs_no_more_than_a_voters_rights(node_folder: Path, tmp_path: Path) -> None:
    assert NODE
    component, component_seed = nkey.generate()
    public, seed = nkey.generate()
    rights = voter_rights(VoterId("a"))
    permissions = {"publish": {"allow": rights.publish}, "subscribe": {"allow": rights.subscribe}}
    users = json.dumps([{"nkey": component}, {"nkey": public, "permissions": permissions}])
    with NatsServer(tmp_path / "nats", config=f"authorization {{ users: {users} }}") as server:
        async with (
            World.over(server, seed=component_seed) as world,
            running(NODE, "nats_voter.mjs", "a", folder=node_folder, MAGI_NATS_URL=server.url, MAGI_VOTER_SEED=seed),
        ):
            desk = Desk(world)
            await check_votes(desk)
            assert {ballot.status for ballot in await desk.progress()} == {"processing"}
            assert "violation" not in server.log.lower(), "nothing that it wanted was denied"
