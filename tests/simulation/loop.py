"""An event loop whose time is virtual, and in which several processes live that can be paused and killed.

Nothing is waited for: when nothing is ready, the time jumps to the next timer. What belongs to a process (everything
that was begun in its context) keeps its order, as asyncio promises; between processes any order is possible, and one is
drawn from the seed. A process that is paused doesn't run. One that is killed never runs again, not even its `finally`.
"""

import asyncio
import contextvars
import heapq
import random
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

START = 1_800_000_000.0
"""The wall clock at the beginning, in seconds since 1970."""


class Process:
    """What is killed and paused as one."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.paused = False
        self.context = contextvars.copy_context()
        self.context.run(_process.set, self)
        self.steps = 0
        """How often something of it ran."""
        self.dies_at = 0
        """The step before which it is killed; 0: never."""
        self.on_death: list[Callable[[], None]] = []
        """What the operating system does: connections are closed. Called outside of the process."""
        self.held: list[asyncio.Handle] = []
        """What is ready and must wait, since it is paused."""
        self.tasks: list[asyncio.Task[Any]] = []
        """What it had begun when it was killed: kept, so that nothing of it is run by the garbage collection."""


_process: contextvars.ContextVar[Process] = contextvars.ContextVar("process")


def current_process() -> Process:
    return _process.get()


class _Task(asyncio.Task[Any]):
    """Its hash is its number and not its address, so that sets of tasks have the same order each time."""

    __slots__ = ("number", "process")

    def __hash__(self) -> int:
        return self.number


class Stuck(Exception):
    """Nothing is ready, no timer is set, and the main coroutine waits: it would for ever."""


class _NoSelector:
    """Nothing is read or written, so the loop never has to wait."""

    def select(self, timeout: float | None) -> list[Any]:
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """Make one a run. `draw` decides which process comes first."""

    def __init__(self, seed: int | str) -> None:
        super().__init__()
        self.draw = random.Random(f"loop {seed}")
        self.elapsed = 0.0
        self.kernel = Process("kernel")
        """Who is never killed or paused: the network, the server, the nemesis."""
        self.graveyard: list[Process] = []
        self._made = 0
        self._selector = _NoSelector()
        self._clock_resolution = 1e-9
        self.set_task_factory(self._make_task)

    # --- What asyncio asks for ----------------------------------------------------------------------------------------

    def time(self) -> float:
        return self.elapsed

    def _process_events(self, event_list: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass

    def _make_task(self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
        task = _Task.__new__(_Task)
        self._made += 1
        task.number = self._made  # before it is made: asyncio puts it into a set at once
        task.__init__(coro, loop=loop, **options)  # type: ignore[misc]
        context = options.get("context")
        task.process = context[_process] if context is not None else _process.get(self.kernel)
        return task

    def _run_once(self) -> None:
        ready: deque[asyncio.Handle] = self._ready  # type: ignore[attr-defined]
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        while not ready:
            while scheduled and scheduled[0].cancelled():
                heapq.heappop(scheduled)._scheduled = False  # type: ignore[attr-defined]
            if not scheduled:
                raise Stuck(f"nothing more happens at {self.elapsed:.3f} s")
            self.elapsed = max(self.elapsed, scheduled[0].when())
            while scheduled and scheduled[0].when() <= self.elapsed:
                timer = heapq.heappop(scheduled)
                timer._scheduled = False  # type: ignore[attr-defined]
                if not timer.cancelled():
                    ready.append(timer)
        turn = list(ready)
        ready.clear()
        for handle in self._interleaved(turn) if len(turn) > 1 else turn:
            if handle._cancelled:
                continue
            process = handle._context.get(_process, self.kernel)  # type: ignore[attr-defined]
            if not process.alive:
                continue
            if process.paused:
                process.held.append(handle)
                continue
            process.steps += 1
            if process.steps == process.dies_at:
                self.kill(process)
                continue
            handle._run()

    def _interleaved(self, turn: list[asyncio.Handle]) -> list[asyncio.Handle]:
        """One order of those that are possible."""
        queues: dict[Process, deque[asyncio.Handle]] = {}
        for handle in turn:
            process = handle._context.get(_process, self.kernel)  # type: ignore[attr-defined]
            queues.setdefault(process, deque()).append(handle)
        if len(queues) == 1:
            return turn
        waiting = list(queues.values())
        found = []
        while waiting:
            number = int(self.draw.random() * len(waiting))
            found.append(waiting[number].popleft())
            if not waiting[number]:
                waiting.pop(number)
        return found

    # --- Processes ----------------------------------------------------------------------------------------------------

    def spawn(self, process: Process, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a coroutine as a part of the process."""
        return self.create_task(work, context=process.context)

    def pause(self, process: Process) -> None:
        """As SIGSTOP does."""
        process.paused = True

    def go_on(self, process: Process) -> None:
        """As SIGCONT does: what has become due meanwhile comes in the order in which it did."""
        process.paused = False
        held, process.held = process.held, []
        self._ready.extendleft(reversed(held))  # type: ignore[attr-defined]

    def kill(self, process: Process) -> None:
        """As SIGKILL does: between two of its steps, at whatever it awaits."""
        if not process.alive:
            return
        process.alive = False
        process.tasks = [t for t in asyncio.all_tasks(self) if getattr(t, "process", None) is process and not t.done()]
        process.held.clear()  # not before: what hasn't begun is held by nothing else
        self.graveyard.append(process)
        for callback in process.on_death:
            self.call_soon(callback, context=self.kernel.context)

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        """The result of `main`, which runs outside of all processes. What is left is thrown away as it stands."""
        asyncio.set_event_loop(self)
        task = self.create_task(main, context=self.kernel.context)
        try:
            return self.run_until_complete(task)
        finally:
            self._throw_away()
            asyncio.set_event_loop(None)

    def _throw_away(self) -> None:
        """End every coroutine that is left. What their `finally` blocks do can reach nobody any more."""
        left = [*asyncio.all_tasks(self), *(task for process in self.graveyard for task in process.tasks)]
        for task in left:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        self.set_exception_handler(lambda loop, context: None)
        for task in left:
            coro = task.get_coro()
            try:
                coro.close()
            except Exception:
                continue
        self._ready.clear()  # type: ignore[attr-defined]
        self._scheduled.clear()  # type: ignore[attr-defined]
        self.graveyard.clear()
        self.close()
