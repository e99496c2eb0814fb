"""`run`: a voter as a program of its own."""

import asyncio
import os
import re
import signal
import ssl
from pathlib import Path

import structlog
import uvloop

from magi.domain.ids import VoterId, check_name
from magi.eventstore.bus import Bus
from magi.eventstore.tls import client_context
from magi.voters.agent import CAPACITY, Judge, VoterAgent

log = structlog.get_logger(__name__)

ATTEMPTS = 5
"""Tries to connect, over 3 s: a server that takes in new users cuts off whoever is just connecting."""

_SEED = re.compile(r"SU[A-Z2-7]{56}\Z")


class VoterStopped(Exception):
    """The connection to NATS was closed for good: refused, or revoked."""


def run(
    voter_id: str,
    judge: Judge,
    *,
    nats_url: str | None = None,
    seed: str | None = None,
    capacity: int = CAPACITY,
) -> None:
    """Be the voter `voter_id` until SIGINT or SIGTERM.

    `nats_url` and `seed` (the nkey that ``magi voters add`` printed) default to the variables ``MAGI_NATS_URL`` and
    ``MAGI_VOTER_SEED``; the latter may also name a file. Raises CannotConnect, VoterStopped, BusError, ValueError (no
    URL, or a seed that is none).
    """
    url = nats_url or os.environ.get("MAGI_NATS_URL", "")
    if not url:
        raise ValueError("nats_url: expected the address of NATS, here or in MAGI_NATS_URL")
    secret = _secret(seed or os.environ.get("MAGI_VOTER_SEED", ""))
    uvloop.run(_run(VoterId(check_name(voter_id, "voter_id")), judge, url, secret, capacity))


def _secret(given: str) -> str | None:
    """The seed that was given or is in the file that was. Raises ValueError, without a word of what was given."""
    if not given or _SEED.match(given):
        return given or None
    try:
        return Path(given).read_text().strip()
    except (OSError, ValueError):
        raise ValueError("seed: neither an nkey's seed (SU…) nor a file that can be read") from None


def _tls(url: str) -> ssl.SSLContext | None:
    """As ``MAGI_NATS_TLS_CA``, ``…_CERT`` and ``…_KEY`` say; None without them for a URL that isn't ``tls://``."""
    ca, cert, key = (os.environ.get(f"MAGI_NATS_TLS_{name}", "") for name in ("CA", "CERT", "KEY"))
    return client_context(ca, cert, key) if ca or cert or url.startswith(("tls://", "wss://")) else None


async def _run(voter: VoterId, judge: Judge, url: str, seed: str | None, capacity: int) -> None:
    bus = await Bus.connect(
        url, name=f"voter {voter}", seed=seed, inbox_prefix=f"_INBOX_{voter}", tls=_tls(url), attempts=ATTEMPTS
    )
    stop = asyncio.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    agent = VoterAgent(bus, voter, judge, capacity=capacity)
    try:
        await agent.start()
        waits = [asyncio.create_task(stop.wait()), asyncio.create_task(bus.closed.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if bus.closed.is_set() and not stop.is_set():
            raise VoterStopped(f"voter {voter}: NATS closed the connection for good")
        await agent.stop()
    finally:
        await bus.close()
