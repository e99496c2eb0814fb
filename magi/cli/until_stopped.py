"""Work that goes on until somebody ends it: Ctrl-C, a service manager, a terminal that is closed."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

import structlog

log = structlog.get_logger(__name__)

INTERRUPTED = 130
"""The exit code of what Ctrl-C ended before it had done its work."""


async def until_stopped(work: Coroutine[Any, Any, None]) -> signal.Signals | None:
    """Do `work`; cancel it on SIGINT, SIGTERM or SIGHUP and let it clean up.

    Returns the signal that ended it; None when it came to its end. Raises what `work` does, as long as nobody asked it
    to stop: what fails while it is stopped, as a part that is being started then does, is nobody's fault.
    """
    loop = asyncio.get_running_loop()
    asked: asyncio.Future[signal.Signals] = loop.create_future()

    def ask(sign: signal.Signals) -> None:
        if not asked.done():
            asked.set_result(sign)

    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # a terminal that is closed hangs up
        if sign != signal.SIGHUP or signal.getsignal(sign) != signal.SIG_IGN:  # `nohup` wants it to go on
            loop.add_signal_handler(sign, ask, sign)
    task = asyncio.ensure_future(work)
    waits: list[asyncio.Future[Any]] = [task, asked]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    if not asked.done():
        task.result()
        return None
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        pass
    except Exception as error:  # noqa: BLE001 - of a start that was broken off, see above
        log.info("broken_off", error=str(error))
    return asked.result()
