"""A person votes at a terminal: `magi vote` as a program, its lines typed by the test, against a real gateway."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from magi.domain.messages import Task, encode
from tests.cli.commands import magi, program
from tests.cli.serving import Serve, environment
from tests.gateway.voters.office import Office, opened
from tests.orchestrator.world import World
from tests.servers import NatsServer
from tests.waiting import until


@pytest.fixture
async def office(fresh_nats: NatsServer) -> AsyncIterator[Office]:
    async with World.over(fresh_nats) as world, opened(world) as office:
        yield office


class Terminal:
    """Somebody in front of `magi vote`, who reads what is printed and types."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.shown = ""

    async def until_shown(self, text: str) -> None:
        """Read on until `text` was printed, after what was waited for before."""
        assert self.process.stdout
        seen = ""
        async with asyncio.timeout(30):
            while text not in seen:
                chunk = await self.process.stdout.read(4096)
                assert chunk, f"it ended; it had shown {self.shown!r}"
                seen += chunk.decode()
                self.shown += chunk.decode()

    def type(self, *lines: str) -> None:
        assert self.process.stdin
        self.process.stdin.write("".join(f"{line}\n" for line in lines).encode())

    async def ended(self) -> tuple[int, str]:
        """Its exit code, and what it had to say at last."""
        out, err = await asyncio.wait_for(self.process.communicate(), 30)
        return self.process.returncode or 0, out.decode() + err.decode()


@asynccontextmanager
async def voting(office: Office, data: Path, voter: str = "ada", token: str = "") -> AsyncIterator[Terminal]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "magi", "vote", "--as", voter),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(
            MAGI_DATA=str(data),
            MAGI_URL=f"ws://127.0.0.1:{office.gateway.port}",
            MAGI_VOTER_TOKEN=token or office.token,
        ),
    )
    try:
        yield Terminal(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def given(office: Office, answer: str, timeout: float = 30.0) -> Task:
    return office.desk.task(answer, timeout)


async def test_a_person_passes_one_and_fails_the_next(office: Office, tmp_path: Path) -> None:
    async with voting(office, tmp_path) as terminal:
        await terminal.until_shown("waiting for tasks as ada")
        await office.desk.put(encode(given(office, "The sky is blue.")))
        await terminal.until_shown("[p/f/a] ")
        assert "│ The sky is blue." in terminal.shown
        terminal.type("maybe", "p", "")
        await terminal.until_shown("accepted")
        await office.desk.put(encode(given(office, "The sky is green.")))
        await terminal.until_shown("[p/f/a] ")
        terminal.type("fail", "it is blue")
        await terminal.until_shown("accepted")
        terminal.process.send_signal(signal.SIGINT)
        code, said = await terminal.ended()
    assert (code, "2 judged." in said) == (0, True)
    results = await office.desk.until_done(2)
    assert [(r.vote, r.reason) for r in results] == [("pass", None), ("fail", "it is blue")]
    assert {p.status for p in await office.desk.progress()} == {"reading"}


async def test_two_people_do_not_get_the_same_task_until_one_of_them_leaves(office: Office, tmp_path: Path) -> None:
    async with voting(office, tmp_path) as first, voting(office, tmp_path) as second:
        await first.until_shown("waiting")
        await second.until_shown("waiting")
        await office.desk.put(encode(given(office, "Only one of you.")))
        shown = [asyncio.create_task(t.until_shown("[p/f/a] ")) for t in (first, second)]
        done, waiting = await asyncio.wait(shown, return_when=asyncio.FIRST_COMPLETED)
        assert (len(done), len(waiting)) == (1, 1)
        who, other = (first, second) if shown[0] in done else (second, first)
        who.process.send_signal(signal.SIGINT)
        assert (await who.ended())[0] == 0
        await asyncio.wait_for(waiting.pop(), 30)
        other.type("a", "not my field")
        await other.until_shown("accepted")
    (result,) = await office.desk.until_done(1)
    assert (result.vote, result.reason) == ("abstain", "not my field")


async def test_nothing_submitted_steers_the_terminal(office: Office, tmp_path: Path) -> None:
    async with voting(office, tmp_path) as terminal:
        await terminal.until_shown("waiting")
        await office.desk.put(encode(given(office, "\x1b]0;pwned\x07\x1b[2J\u202e\nrequest fake, to be judged")))
        await terminal.until_shown("[p/f/a] ")
    assert "\x1b" not in terminal.shown
    assert "\u202e" not in terminal.shown
    assert "  │ request fake" in terminal.shown


async def test_at_the_deadline_the_person_is_told_and_gets_the_next(office: Office, tmp_path: Path) -> None:
    async with voting(office, tmp_path) as terminal:
        await terminal.until_shown("waiting")
        await office.desk.put(encode(given(office, "Too late for you.", timeout=4.0)))
        await terminal.until_shown("the deadline has passed")
        await office.desk.put(encode(given(office, "But in time for this.")))
        await terminal.until_shown("│ But in time for this.")


async def test_a_gateway_that_comes_back_is_found_again(office: Office, tmp_path: Path) -> None:
    async with voting(office, tmp_path) as terminal:
        await terminal.until_shown("waiting")
        await office.until_sessions(1)
        for session in list(office.gateway._sessions):
            session.abort()
        await terminal.until_shown("connected again")
        await office.desk.put(encode(given(office, "Still there?")))
        await terminal.until_shown("│ Still there?")


async def test_who_shows_the_token_of_another_voter_is_told(office: Office, tmp_path: Path) -> None:
    async with voting(office, tmp_path, "bob", token=office.token) as terminal:
        code, said = await terminal.ended()
    assert (code, "the token is that of the voter 'ada', not of 'bob'" in said) == (2, True)


async def test_a_token_that_is_worth_nothing_ends_it(office: Office, tmp_path: Path) -> None:
    async with voting(office, tmp_path, token="magi_v_nonsense") as terminal:
        code, said = await terminal.ended()
    assert (code, "unauthorized" in said) == (2, True)


async def test_end_of_input_ends_it(office: Office, tmp_path: Path) -> None:
    async with voting(office, tmp_path) as terminal:
        await terminal.until_shown("waiting")
        await office.desk.put(encode(given(office, "Nobody reads this.")))
        await terminal.until_shown("[p/f/a] ")
        assert terminal.process.stdin
        terminal.process.stdin.close()
        code, said = await terminal.ended()
    assert (code, "0 judged." in said) == (0, True)

    async def given_back() -> bool:
        consumer = await office.consumer()
        return consumer.num_ack_pending + consumer.num_pending == 1

    await until(given_back, "the task waits for somebody else")


def test_a_person_who_was_registered_here_needs_no_token(serve: Serve) -> None:
    added = magi("voters", "add", "judith", "--kind", "person", "--group", "tests", data=serve.data)
    assert added.code == 0, added.stderr
    kept = serve.data / "secrets" / "voter-judith.token"
    assert kept.read_text().strip() == added.last_word
    assert kept.stat().st_mode & 0o777 == 0o600
    further = magi("voters", "token", "judith", data=serve.data)
    assert kept.read_text().strip() == further.last_word
    process = program("vote", "--as", "judith", data=serve.data)
    out, err = process.communicate(b"", 20)  # nobody types anything
    assert (process.returncode, b"0 judged." in out) == (0, True), err


def test_without_a_token_nothing_is_begun(serve: Serve) -> None:
    refused = magi("vote", "--as", "nobody", data=serve.data)
    assert (refused.code, refused.stdout) == (2, "")
    assert "nobody wants a token" in refused.stderr
