"""Parsing in a process of its own, where a crash, a hang or a hunger for memory costs nothing but the check.

Answers come from strangers, and a parser's worst case is theirs to choose. The children are started when first needed,
kept, replaced when they die, and end by themselves when this process does, however it ends.
"""

import atexit
import contextlib
import os
import queue
import select
import subprocess
import sys
import threading
from typing import BinaryIO, cast

import msgspec

from magi.voters.builtin.form.child import MAX_SECONDS, Reply, Request, read_frame, write_frame

CHILDREN = 2
"""At most. A check takes a millisecond, so that two serve hundreds of answers a second."""
START_SECONDS = 10.0
"""On top of `MAX_SECONDS` for the first answer of a child, which includes its start (0.2 s on an idle machine)."""
MAX_CHARACTERS = 65_536
"""Of one text; a longer one is not parsed. Human-sized files are below it."""


class _Child:
    def __init__(self) -> None:
        environment = {k: v for k, v in os.environ.items() if k.startswith(("PYTHON", "PATH", "SYSTEMROOT", "LANG"))}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "magi.voters.builtin.form.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        self._patience = MAX_SECONDS + START_SECONDS

    def ask(self, request: Request) -> Reply | None:
        """The reply, or None when the child died over it or kept silent; it is of no use after that."""
        stdin, stdout = cast(BinaryIO, self._process.stdin), cast(BinaryIO, self._process.stdout)
        try:
            write_frame(stdin, msgspec.json.encode(request))
            ready, _, _ = select.select([stdout], [], [], self._patience)
            frame = read_frame(stdout) if ready else None
        except OSError:
            frame = None
        self._patience = MAX_SECONDS + 1.0
        return msgspec.json.decode(frame, type=Reply) if frame is not None else None

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


class _Pool:
    """Lends each caller a child of its own for one check."""

    def __init__(self) -> None:
        self._idle: queue.LifoQueue[_Child | None] = queue.LifoQueue()
        for _ in range(CHILDREN):
            self._idle.put(None)

    def ask(self, request: Request) -> Reply:
        child = self._idle.get()
        reply: Reply | None = None
        try:
            child = child or _Child()
            reply = child.ask(request)
        finally:
            if reply is None and child is not None:
                child.end()
                child = None
            self._idle.put(child)
        return reply or Reply(gave_up=True)

    def close(self) -> None:
        for _ in range(CHILDREN):
            with contextlib.suppress(queue.Empty):
                child = self._idle.get_nowait()
                if child is not None:
                    child.end()


_pool: _Pool | None = None
_lock = threading.Lock()


def check(language: str, text: str) -> Reply:
    """What `checks.check` says about the text, within `MAX_SECONDS`; a text that is too much for it is given up.

    Safe to call from any thread. Blocks while `CHILDREN` other checks are running.
    """
    if len(text) > MAX_CHARACTERS:
        return Reply(gave_up=True)
    return _get_pool().ask(Request(language, text.encode("utf-8", "replace").decode()))


def _get_pool() -> _Pool:
    global _pool
    with _lock:
        if _pool is None:
            _pool = _Pool()
            atexit.register(_pool.close)
        return _pool
