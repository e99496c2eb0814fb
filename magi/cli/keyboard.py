"""Lines from standard input for a program that has other things to do meanwhile."""

import asyncio
import contextlib
import os
import sys
import termios
import threading


class EndOfInput(Exception):
    """Standard input has ended: Ctrl-D, or a pipe that was closed."""


class Keyboard:
    """Reads standard input in a thread, from when it is made. Made once."""

    def __init__(self) -> None:
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        # A daemon, and by the file descriptor: at the program's end it waits for a line that nobody is going to type,
        # and must neither keep the program nor hold the lock of `sys.stdin`.
        threading.Thread(target=self._read, daemon=True, name="keyboard").start()

    async def line(self) -> str:
        """The next line, without its end. Raises EndOfInput, again and again."""
        line = await self._lines.get()
        if line is None:
            self._lines.put_nowait(None)
            raise EndOfInput
        return line

    async def ended(self) -> None:
        """Return when the input ends while nothing of it is left to be asked for."""
        await self._ended.wait()

    def forget(self) -> None:
        """Drop what was typed and not asked for. Lines of a pipe were meant to be read, and stay."""
        if not sys.stdin.isatty():
            return
        with contextlib.suppress(termios.error):
            termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)
        while not self._lines.empty():
            if self._lines.get_nowait() is None:
                self._lines.put_nowait(None)
                return

    def _read(self) -> None:
        rest = b""
        while chunk := self._chunk():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._give(line.decode(errors="replace"))
        if rest:
            self._give(rest.decode(errors="replace"))
        self._give(None)

    def _chunk(self) -> bytes:
        try:
            return os.read(sys.stdin.fileno(), 65536)
        except OSError:  # the terminal has gone
            return b""

    def _give(self, line: str | None) -> None:
        with contextlib.suppress(RuntimeError):  # the program has ended
            self._loop.call_soon_threadsafe(self._put, line)

    def _put(self, line: str | None) -> None:
        if line is None and self._lines.empty():
            self._ended.set()
        self._lines.put_nowait(line)
