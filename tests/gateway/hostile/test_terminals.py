"""What was submitted, on the terminals of those who look at it: commands as processes, on a terminal of their own."""

import asyncio
import os
import pty
import re
import sys
import unicodedata
from pathlib import Path

import pytest

from tests.cli.serving import environment
from tests.gateway.client import Client, request
from tests.gateway.hostile.target import Target
from tests.waiting import until

MARK = "zq9planted"
UNTOLD = "zq9untold"
"""In what is no name of a request."""
EVIL = (
    f"\x1b[2J\x1b]0;{MARK}\x07\x1bP{MARK}\x1b\\\x9b31m\x9d0;{MARK}\x9c\x07\x08\r\x7f\x0b\x0c\x0e\x85"
    f"\u202e\u2066\u200f\u2028\u2029\n\tplain {MARK} [bold red]{MARK}[/] \ufffb\u061c"
)
ID = f"[bold]{MARK}\u202e\u2028"
"""As much of it as the name of a request may hold."""
_STYLE = re.compile(r"\x1b\[[0-9;]*m")
"""Ours: rich makes headings bold. What a submission brings is escaped before."""
_UNSAFE = ("Cc", "Cf", "Zl", "Zp", "Cs")


class Terminal:
    """A process whose stdin, stdout and stderr are a terminal. Give it to `close`."""

    def __init__(self, *arguments: str, **variables: str) -> None:
        self._arguments = arguments
        self._env = environment(TERM="xterm", COLUMNS="400", **variables)
        self.written = b""

    async def start(self) -> None:
        self._ours, its = pty.openpty()
        os.set_blocking(self._ours, False)
        asyncio.get_running_loop().add_reader(self._ours, self._read)
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "magi", *self._arguments, stdin=its, stdout=its, stderr=its, env=self._env
        )
        os.close(its)

    def _read(self) -> None:
        try:
            self.written += os.read(self._ours, 65_536)
        except OSError:  # nobody holds its other end any more
            asyncio.get_running_loop().remove_reader(self._ours)

    async def end(self) -> str:
        """Wait for its end; returns what it wrote, without what makes it bold or coloured."""
        await asyncio.wait_for(self.process.wait(), 30)
        self._read()
        asyncio.get_running_loop().remove_reader(self._ours)
        os.close(self._ours)
        return _STYLE.sub("", self.written.decode().replace("\r\n", "\n"))


def steering(text: str) -> set[str]:
    """The characters in it that a terminal doesn't just show."""
    return {c for c in text if unicodedata.category(c) in _UNSAFE} - {"\n"}


def on(target: Target, folder: Path) -> dict[str, str]:
    """The variables by which a command finds the target's streams."""
    return {"MAGI_DATA": str(folder), "MAGI_NATS_URL": target.stack.nats_url, "MAGI_NATS_SYNC_INTERVAL": "any"}


async def submitted(target: Target) -> None:
    target.accepted.add(ID)
    evil = request(
        ID,
        user_query=EVIL,
        agent_answer=EVIL,
        metadata={EVIL: EVIL, "padding": 20},  # the voters give control characters in their reasons
        strategy={"name": "threshold", "k": 1},
        traceparent=EVIL,
    )
    async with target.client() as client:
        await client.judged(evil)


@pytest.mark.parametrize(
    ("command", "part"),
    [
        (("history", ID), rf"plain {MARK}"),
        (("history", ID, "--json"), '"type":"adjudicated"'),
        (("history", ID, "--follow"), "verdict   pass"),
        (("history", ID, "--at", "2"), "waiting for"),
        (("history", f"{MARK}\u202e\u2028"), rf"nothing is stored of a request '{MARK}\u202e\u2028'"),
        (("history", f"{MARK}\x1b[31m\x9b"), "expected no control characters"),
        (("replay", ID), "recorded  pass"),
    ],
    ids=["history", "as JSON", "followed", "at a moment", "of what there is not", "of what can't be", "replay"],
)
async def test_nothing_of_a_submission_steers_the_terminal_of_who_looks_at_it(
    target: Target, tmp_path: Path, command: tuple[str, ...], part: str
) -> None:
    await submitted(target)
    terminal = Terminal(*command, "--initiator", "agent", **on(target, tmp_path))
    await terminal.start()
    shown = await terminal.end()
    assert part in shown
    assert steering(shown) == set()


async def test_nothing_that_is_sent_steers_the_terminal_that_shows_the_gateways_log(
    target: Target, tmp_path: Path
) -> None:
    """Nor is content there to be read, which is no matter for logs. What a request is called is."""
    content = EVIL.replace(MARK, UNTOLD)
    terminal = Terminal("gateway", "--port", "0", **on(target, tmp_path), MAGI_LOG_LEVEL="debug")
    await terminal.start()

    async def listens() -> bool:
        return b"gateway_listens" in terminal.written

    await until(listens, "the gateway listens", within=30)
    port = int(re.search(r"port=(\d+)", _STYLE.sub("", terminal.written.decode()))[1])  # type: ignore[index]
    target.accepted.add(ID)
    async with Client.connect(port, target.token) as client:
        await client.judged(request(ID, user_query=content, agent_answer=content, metadata={content: content}))
        for frame in (
            request(f"a{EVIL}"),
            {"type": content},
            request("b", strategy=content),
            request("c", voter_list=[content]),
            request(ID, agent_answer=content + MARK),
            {"type": "resume", "request_id": MARK},
            {"type": "authenticate", "token": content},
            content,
        ):
            assert (await client.ask(frame))["type"] == "error"
    terminal.process.terminate()
    shown = await terminal.end()
    assert "refused" in shown
    assert steering(shown) == set()
    assert UNTOLD not in shown
    assert target.token not in shown
