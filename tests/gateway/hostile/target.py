"""What is attacked: a gateway with a well-behaved client on it, and the look afterwards that nothing was harmed."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from structlog.testing import capture_logs
from structlog.typing import EventDict

from magi.eventstore import subjects
from magi.gateway.following import Following
from magi.gateway.settings import Limits
from tests.gateway.client import Client, request, seqs
from tests.gateway.hostile.raw import Raw
from tests.gateway.stack import QUICK, Stack, aggregate, running
from tests.waiting import until

GOOD, BAD = "good", "agent"
"""The two Initiators: the attacker has a token of its own."""


class Target:
    """`stack` runs the gateway; attacks come as the Initiator ``agent``, with `token`."""

    def __init__(self, stack: Stack, good: Client, logs: list[EventDict]) -> None:
        self.stack = stack
        self.good = good
        self.logs = logs
        self.accepted: set[str] = set()
        """The attacker's requests that may be in the log."""
        self._witnessed = 0

    @property
    def port(self) -> int:
        return self.stack.gateway.port

    @property
    def token(self) -> str:
        return self.stack.token

    def client(self, **options: Any) -> Any:
        """A connection of the attacker."""
        return Client.connect(self.port, self.token, **options)

    def raw(self, *lines: str) -> Any:
        """A connection of the attacker on which it may break the rules of WebSocket."""
        return Raw.open(self.port, self.token, *lines)

    async def witness(self) -> None:
        """The well-behaved client is served as ever, on the connection that it had all along."""
        self._witnessed += 1
        name = f"witness {self._witnessed}"
        events = await self.good.judged(request(name))
        assert seqs(events) == list(range(1, 9))
        assert events[-1]["final_vote"] == "pass"

    async def unharmed(self) -> None:
        """Look after an attack: others are served, the log and the inbox hold what was accepted and nothing else."""
        await self.witness()
        good = {str(aggregate(f"witness {n + 1}", GOOD)) for n in range(self._witnessed)}
        bad = {str(aggregate(name, BAD)) for name in self.accepted}
        await until(self._inbox_empty, "the inbox is empty")
        stored = {subject.removeprefix(subjects.LOG_PREFIX) for subject in await self._subjects("MAGI_LOG")}
        assert stored == good | bad
        failures = [entry for entry in self.logs if entry["log_level"] in ("error", "critical")]
        assert failures == [], "no attack is an error of ours"
        await until(self._alone, "the attacker's sessions have ended")

    async def _subjects(self, stream: str) -> set[str]:
        ask = json.dumps({"subjects_filter": ">"}).encode()
        info = json.loads(await self.stack.bus.request(f"$JS.API.STREAM.INFO.{stream}", ask))
        return set(info["state"].get("subjects") or ())

    async def _inbox_empty(self) -> bool:
        return not await self._subjects("MAGI_INBOX")

    async def _alone(self) -> bool:
        gateway = self.stack.gateway
        # Beside the sessions the count of an Initiator's open requests listens, and leaves at its next heartbeat.
        following = [listener for listener in gateway._hub.listeners() if isinstance(listener, Following)]
        return len(gateway._sessions) == len(following) == 1


@asynccontextmanager
async def attacked(nats_url: str, limits: Limits = QUICK) -> AsyncIterator[Target]:
    """A target on the nats-server at `nats_url`. At the end of the block it is looked at: see `Target.unharmed`."""
    with capture_logs() as logs:
        async with running(nats_url, limits) as stack:
            token = await stack.add_initiator(GOOD)
            async with stack.client(token) as good:
                target = Target(stack, good, logs)
                await target.witness()
                yield target
                await target.unharmed()
