"""The world outside as a simulation sees it: clocks, random numbers and names follow from the seed and nothing else."""

import contextlib
import functools
import gc
import itertools
import random
import sys
import time
import types
import uuid
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar
from unittest import mock

import nats.aio.client
import nats.nuid  # noqa: F401

import magi.gateway.server  # noqa: F401
from magi.eventstore import codec
from magi.gateway.client import ClientSession
from magi.gateway.following import Following
from magi.gateway.open_requests import OpenRequests
from tests.simulation import sockets
from tests.simulation.loop import START, VirtualLoop
from tests.simulation.pipe import Network, PipeTransport, networks
from tests.simulation.server import Server
from tests.simulation.trace import Trace

HOST = "nats"
URL = f"nats://{HOST}:4222"

T = TypeVar("T")

_CLOCKS = (time.monotonic, time.time, time.time_ns)
_IN_SETS = (ClientSession, Following, OpenRequests)
"""What MAGI keeps in sets: by their addresses in memory they would have another order in each process."""


@contextlib.contextmanager
def virtual(loop: VirtualLoop, seed: int | str) -> Iterator[None]:
    """Whatever runs in here asks `loop` for the time and `seed` for everything else, and reaches a server by a pipe."""
    draw = random.Random(f"world {seed}")
    state = random.getstate()
    random.seed(f"library {seed}")

    def uuid4() -> uuid.UUID:
        return uuid.UUID(int=draw.getrandbits(128), version=4)

    monotonic, wall, wall_ns = _CLOCKS
    clocks: dict[Callable[..., Any], Callable[[], Any]] = {
        monotonic: lambda: loop.elapsed,
        wall: lambda: START + loop.elapsed,
        wall_ns: lambda: int((START + loop.elapsed) * 1e9),
    }
    with contextlib.ExitStack() as stack:
        for name, value in (
            ("time.monotonic", clocks[monotonic]),
            ("time.time", clocks[wall]),
            ("time.time_ns", clocks[wall_ns]),
            ("uuid.uuid4", uuid4),
            ("nats.nuid.randbelow", draw.randrange),
            ("nats.nuid.token_bytes", draw.randbytes),
            ("nats.aio.client.token_hex", lambda size: draw.randbytes(size).hex()),
            ("nats.aio.client.TcpTransport", PipeTransport),
            ("os.urandom", draw.randbytes),
            ("magi.gateway.server.serve", sockets.serve),
            ("magi.gateway.server.Connection", sockets.ServerEnd),
        ):
            stack.enter_context(mock.patch(name, value))
        numbers_of_objects = itertools.count(1)

        def by_number(self: Any) -> int:
            number: int = vars(self).setdefault("_number", next(numbers_of_objects))
            return number

        for kind in _IN_SETS:
            stack.enter_context(mock.patch.object(kind, "__hash__", by_number))
        for function in _with_clocks(len(sys.modules)):
            stack.enter_context(_defaults(function, clocks))
        process, numbers = codec._process, codec._numbers
        codec._process, codec._numbers = "simulated", itertools.count(1)
        try:
            yield
        finally:
            codec._process, codec._numbers = process, numbers
            random.setstate(state)


@functools.cache
def _with_clocks(modules: int) -> list[types.FunctionType]:
    """The functions of MAGI whose arguments are clocks by default. A default is bound when a function is defined.

    Looked for anew only when there are more `modules`.
    """
    found = []
    for name, module in sorted(sys.modules.items()):
        if not name.startswith("magi."):
            continue
        for value in vars(module).values():
            members = vars(value).values() if isinstance(value, type) and value.__module__ == name else (value,)
            found += [
                one
                for one in members
                if isinstance(one, types.FunctionType)
                and one.__module__ == name
                and any(_is_clock(default) for default in one.__defaults__ or ())
            ]
    return found


def _is_clock(value: object) -> bool:
    return isinstance(value, types.BuiltinFunctionType) and value in _CLOCKS


@contextlib.contextmanager
def _defaults(function: types.FunctionType, clocks: dict[Callable[..., Any], Callable[[], Any]]) -> Iterator[None]:
    before = function.__defaults__
    assert before is not None
    function.__defaults__ = tuple(clocks[one] if _is_clock(one) else one for one in before)
    try:
        yield
    finally:
        function.__defaults__ = before


class Machine:
    """A seed's loop, network and nats-server."""

    def __init__(self, seed: int | str, *, readable: bool = False) -> None:
        self.seed = seed
        self.loop = VirtualLoop(seed)
        self.trace = Trace(readable=readable)
        self.trace.clock = self.loop.time
        self.network = Network(self.loop, seed)
        self.server = Server(self.network, seed, self.trace)
        self.network.listeners[HOST] = self.server

    def run(self, main: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of the coroutine that `main()` makes, in virtual time. Once."""
        networks[id(self.loop)] = self.network
        collecting = gc.isenabled()
        gc.disable()  # when it collects depends on all that was there before
        try:
            with virtual(self.loop, self.seed):
                result: T = self.loop.run(self._until_over(main()))
                return result
        finally:
            del networks[id(self.loop)]
            if collecting:
                gc.enable()

    async def _until_over(self, main: Coroutine[Any, Any, T]) -> T:
        try:
            return await main
        finally:
            self.trace.over = True
