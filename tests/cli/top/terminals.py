"""A program on a terminal of its own: what it shows, as text, and keys for it."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from pathlib import Path
from typing import Any, Self

from tests.cli.serving import environment
from tests.waiting import eventually

_STYLE = re.compile(rb"\x1b\[[0-9;]*m")
WITHIN = 60.0
"""Seconds: a start takes two, on a machine that does something else, many more."""


class OnTerminal:
    """`magi …` with a terminal of so many columns and lines as its own; a context manager."""

    def __init__(
        self, *arguments: str, data: Path, size: tuple[int, int] = (120, 40), folder: Path | None = None
    ) -> None:
        self._ours, self._its = pty.openpty()
        self.resize(*size)
        self.before = self.modes()
        self._output = bytearray()
        self._mark = 0
        self.process = subprocess.Popen(
            [sys.executable, "-m", "magi", *arguments],
            preexec_fn=lambda: os.login_tty(self._its),
            pass_fds=(self._its,),
            cwd=folder,
            # COLUMNS as a shell may have left it there: the terminal's own size counts.
            env=environment(MAGI_DATA=str(data), TERM="xterm-256color", LANG="C.UTF-8", COLUMNS="44", LINES="9"),
        )
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._its)
        os.close(self._ours)

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._ours, 65536)
            except OSError:
                return
            if not data:
                return
            self._output += data

    def modes(self) -> list[Any]:
        """How the terminal is set."""
        return termios.tcgetattr(self._its)

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def press(self, keys: bytes) -> None:
        """What is shown from now on is looked at by `until_shown`."""
        self._mark = len(self._output)
        os.write(self._ours, keys)

    def mark(self) -> None:
        self._mark = len(self._output)

    @property
    def shown(self) -> str:
        """All that came since the last mark, without its styles."""
        return _STYLE.sub(b"", bytes(self._output[self._mark :])).decode(errors="replace")

    def until_shown(self, *texts: str) -> None:
        eventually(
            lambda: all(text in self.shown for text in texts) or self.process.poll() is not None,
            f"{texts} on the screen",
            WITHIN,
        )
        assert all(text in self.shown for text in texts), self.shown

    def ended(self) -> int:
        """Its exit code, once it has given the terminal back."""
        code = self.process.wait(WITHIN)
        eventually(lambda: "\x1b[?1049l" in bytes(self._output).decode(errors="replace"), "the screen is back", WITHIN)
        assert self.modes() == self.before
        assert bytes(self._output).rfind(b"\x1b[?25h") > bytes(self._output).rfind(b"\x1b[?25l")
        return code
