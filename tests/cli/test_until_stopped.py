"""`until_stopped`: how work ends that somebody is asked to end."""

import asyncio
import os
import signal

import pytest

from magi.cli.until_stopped import until_stopped


async def test_work_that_comes_to_its_end_was_ended_by_nobody() -> None:
    async def work() -> None:
        await asyncio.sleep(0)

    assert await until_stopped(work()) is None


async def test_what_goes_wrong_by_itself_is_raised() -> None:
    async def work() -> None:
        raise OSError("no disk")

    with pytest.raises(OSError, match="no disk"):
        await until_stopped(work())


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_lets_it_clean_up_and_what_fails_then_is_nobodys_fault(sign: signal.Signals) -> None:
    cleaned = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), sign)
            await asyncio.Event().wait()
        finally:
            cleaned.append(True)
            raise OSError("a part ended while it was started")

    assert await until_stopped(work()) is sign
    assert cleaned


async def test_what_nohup_started_goes_on_when_the_terminal_is_closed() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:

        async def work() -> None:
            os.kill(os.getpid(), signal.SIGHUP)
            await asyncio.sleep(0.05)

        assert await until_stopped(work()) is None
    finally:
        signal.signal(signal.SIGHUP, before)
