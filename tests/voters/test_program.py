"""`run`: a voter as a process of its own, started, stopped and misconfigured as people do."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from magi.domain.errors import InvalidMessage
from magi.domain.messages import encode
from magi.embedded import nkey
from magi.eventstore.bus import CannotConnect
from magi.voters import Opinion, Task, run
from tests.orchestrator.world import World
from tests.servers import NatsServer
from tests.voters.desk import Desk
from tests.waiting import until

PROGRAM = """
import time
from magi.voters import Opinion, run

def judge(task):
    if task.agent_answer == "riddle":
        open("thinking", "w").close()
        time.sleep(3600)
    return Opinion.passes("judged by a program")

run("a", judge)
"""

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """``start(MAGI_NATS_URL=…)``: the program above, with these variables."""
    (tmp_path / "voter.py").write_text(PROGRAM)
    started: list[subprocess.Popen[bytes]] = []

    def start(**variables: str) -> "subprocess.Popen[bytes]":
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MAGI_")}
        root = str(Path(__file__).parents[2])
        environment = {**kept, "PYTHONPATH": root, **variables}
        process = subprocess.Popen(
            [sys.executable, "voter.py"],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


async def ended(process: "subprocess.Popen[bytes]") -> tuple[int, str]:
    """Its exit code and all that it said, once it has ended."""

    async def over() -> bool:
        return process.poll() is not None

    await until(over, "the voter has ended")
    assert process.stdout
    return process.returncode, process.stdout.read().decode()


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
async def test_a_program_judges_until_it_is_told_to_stop(
    world: World, desk: Desk, start: Start, sign: signal.Signals
) -> None:
    program = start(MAGI_NATS_URL=world.server.url)
    await desk.give(3)
    results = await desk.until_done(3, within=30)
    assert {(r.vote, r.reason) for r in results} == {("pass", "judged by a program")}
    program.send_signal(sign)
    code, said = await ended(program)
    assert (code, "Traceback" in said) == (0, False), said


async def test_a_judge_that_hangs_keeps_nobody_from_stopping_it(
    world: World, desk: Desk, start: Start, tmp_path: Path
) -> None:
    program = start(MAGI_NATS_URL=world.server.url)
    await desk.put(encode(desk.task("riddle")))

    async def thinking() -> bool:
        return (tmp_path / "thinking").exists()

    await until(thinking, "it has begun", within=30)
    program.send_signal(signal.SIGTERM)
    code, said = await ended(program)
    assert (code, "Traceback" in said) == (0, False), said
    assert len(await desk.results()) == 0


async def test_a_key_may_be_given_by_a_file(tmp_path: Path, start: Start) -> None:
    public, seed = nkey.generate()
    (tmp_path / "a.nk").write_text(seed + "\n")
    with NatsServer(tmp_path / "nats", config=f"authorization {{ users: [ {{ nkey: {public} }} ] }}") as server:
        async with World.over(server, seed=seed) as world:
            desk = Desk(world)
            start(MAGI_NATS_URL=server.url, MAGI_VOTER_SEED=str(tmp_path / "a.nk"))
            await desk.give()
            await desk.until_done(1, within=30)


async def judge(task: Task) -> Opinion:
    return Opinion.passes()


def test_without_an_address_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAGI_NATS_URL", raising=False)
    with pytest.raises(ValueError, match="nats_url: expected the address of NATS, here or in MAGI_NATS_URL"):
        run("a", judge)


@pytest.mark.parametrize("secret", ["/no/such/file", "SUAAAA-mistyped", "SU" + "A" * 60])
def test_a_seed_that_is_none_is_not_shown(secret: str) -> None:
    with pytest.raises(ValueError, match="seed: neither an nkey's seed") as raised:
        run("a", judge, nats_url="nats://127.0.0.1:1", seed=secret)
    assert secret not in str(raised.value)


def test_a_voter_needs_an_id() -> None:
    with pytest.raises(InvalidMessage, match="voter_id"):
        run("Not an id", judge, nats_url="nats://127.0.0.1:1")


def test_an_address_where_nobody_is_is_said() -> None:
    failed: list[BaseException] = []

    def attempt() -> None:  # not on the main thread, whose event loop is the test's
        try:
            run("a", judge, nats_url="nats://127.0.0.1:1")
        except CannotConnect as error:
            failed.append(error)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join(20)
    assert "can't connect to NATS at nats://127.0.0.1:1" in str(failed[0])
