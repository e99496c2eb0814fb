"""The parsing process: reads requests on standard input, answers each on standard output, ends when its input does.

Its limits are its own, so that they hold whatever happens to its parent: memory by a resource limit, time by an alarm
that ends the process even while it is inside a parser's C code, life by the end of standard input.
"""

import contextlib
import signal
import struct
import sys
from typing import BinaryIO

import msgspec
from msgspec import Struct

from magi.voters.builtin.form import checks
from magi.voters.builtin.form.flaw import Flaw

MAX_MEMORY = 1 << 30
"""Bytes of address space. The interpreter and all grammars take 150 MiB of it; hostile text has asked for 20 GiB."""
MAX_SECONDS = 4
"""Wall time for one request; a check is at most 5 attempts of at most 1 s, nearly all of them done in milliseconds."""

LENGTH = struct.Struct(">I")


class Request(Struct, frozen=True):
    language: str
    text: str


class Reply(Struct, frozen=True):
    flaw: Flaw | None = None
    gave_up: bool = False
    """True when the text was too much for its parser; `flaw` is then None and says nothing."""


def read_frame(stream: BinaryIO) -> bytes | None:
    """One message, or None at the end of the stream."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    body = stream.read(length)
    return body if len(body) == length else None


def write_frame(stream: BinaryIO, body: bytes) -> None:
    stream.write(LENGTH.pack(len(body)) + body)
    stream.flush()


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, whose end is the end of our input
    _limit_memory()
    decode = msgspec.json.Decoder(Request).decode
    encode = msgspec.json.Encoder().encode
    while (frame := read_frame(sys.stdin.buffer)) is not None:
        request = decode(frame)
        _alarm(MAX_SECONDS)
        try:
            reply = Reply(flaw=checks.check(request.language, request.text))
        except (TimeoutError, RecursionError, MemoryError):
            reply = Reply(gave_up=True)
        _alarm(0)
        write_frame(sys.stdout.buffer, encode(reply))


def _limit_memory() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):  # not on every system; the alarm remains
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))


def _alarm(seconds: int) -> None:
    if hasattr(signal, "alarm"):
        signal.alarm(seconds)


if __name__ == "__main__":
    main()
