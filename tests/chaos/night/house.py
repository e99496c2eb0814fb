"""The MAGI of the night: `magi serve` on a small file system, two voters' programs, and commands beside it."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from magi.cli.context import read_note
from magi.embedded.runfile import read_note as read_server_note

SIZE = "1g"
"""Of the file system that gets full."""
VOTERS = ("dora", "edgar")


class CommandFailed(Exception):
    """A command of MAGI's ended with an error. The message is what it said."""


class House:
    """`folder` is its own and empty; under it the file system, the logs and the pictures."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.disk = folder / "disk"
        self.data = self.disk / "data"
        self.pictures = folder / "pictures"
        self._environment = {**os.environ, **environment, "MAGI_DATA": str(self.data)}
        self._serve: subprocess.Popen[bytes] | None = None
        self._voters: dict[str, subprocess.Popen[bytes]] = {}
        self._tokens: dict[str, str] = {}
        self.small = False
        """Whether it lies on a file system of its own, which may be filled."""

    async def start(self) -> None:
        self._begin()
        assert self._serve is not None
        while not (note := read_note(self.data)) or not note.url:
            if self._serve.poll() is not None:
                raise CommandFailed((self.folder / "serve.log").read_text())
            await asyncio.sleep(0.2)
        for voter in VOTERS:
            said = await self.magi("voters", "add", voter, "--kind", "websocket", "--capacity", "32")
            self._tokens[voter] = said.split()[-1].decode()
            self.start_voter(voter)

    def _begin(self) -> None:
        self.pictures.mkdir(parents=True)
        self.disk.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(self.disk)], check=False)
        self.small = mounted.returncode == 0
        with (self.folder / "serve.log").open("wb") as log:
            self._serve = subprocess.Popen(
                [sys.executable, "-m", "magi", "serve", "--port", "0"], stdout=log, stderr=log, env=self._environment
            )

    def stop(self) -> None:
        """SIGINT, as somebody at a terminal does it, and away with the file system."""
        for voter in self._voters.values():
            voter.kill()
            voter.wait()
        if self._serve is not None:
            self._serve.send_signal(signal.SIGINT)
            self._serve.wait()
        if self.small:
            subprocess.run(["umount", "--lazy", str(self.disk)], check=True)

    @property
    def url(self) -> str:
        """Of the gateway now; the one before while it is being started again."""
        note = read_note(self.data)
        return note.url if note else ""

    @property
    def token(self) -> str:
        return (self.data / "keys" / "local.token").read_text().strip()

    async def magi(self, *arguments: str) -> bytes:
        """A command's standard output. Raises CommandFailed."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "magi", *arguments, env=self._environment, stdout=-1, stderr=-1
        )
        said, complaint = await process.communicate()
        if process.returncode != 0:
            raise CommandFailed(f"magi {' '.join(arguments)}: {(complaint or said).decode()[-2000:]}")
        return said

    def start_voter(self, voter: str) -> None:
        self._voters[voter] = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.chaos.night.voter",
                f"{self.url}/v1/voter",
                str(self.folder / f"{voter}-fails"),
            ],
            env={**self._environment, "MAGI_VOTER_TOKEN": self._tokens[voter]},
            stderr=subprocess.DEVNULL,
        )

    def kill_voter(self, voter: str) -> None:
        self._voters[voter].kill()
        self._voters[voter].wait()

    def processes(self, part: str) -> list[psutil.Process]:
        """Those of a part or of a server: PostgreSQL has many. Empty while it is being started again."""
        pid = read_server_note(self.data / "run" / f"{part}.json").pid
        try:
            process = psutil.Process(pid or 0)
            return [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []
