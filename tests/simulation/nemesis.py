"""What goes wrong, and when: drawn from the seed."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

from tests.simulation.loop import Process
from tests.simulation.pipe import Link
from tests.simulation.world import World

LOSSY = frozenset({"ack", "core", "delivery", "said", "status"})
"""What may be lost on its way: between the servers of a cluster, or because a client's connection was just cut. Answers
of several messages are lost as a whole, with their connection."""


class Nemesis:
    """`run` it while there is load. Whatever it does to the world has an end."""

    def __init__(self, world: World, seed: int | str, blows: int) -> None:
        self._world = world
        self._draw = random.Random(f"nemesis {seed}")
        self._blows = blows
        self._kinds: list[tuple[Callable[[], Any], int]] = [
            (self._kill, 4),
            (self._kill_amid, 4),
            (self._kill_over_a_message, 10),
            (self._pause, 4),
            (self._cut, 4),
            (self._drop_client, 3),
            (self._lose_some, 3),
            (self._slow, 2),
            (self._stall, 3),
            (self._restart_server, 1),
            (self._deliver_again, 3),
            (self._fall_behind, 5),
        ]

    async def run(self, seconds: float) -> None:
        """Blow after blow, with pauses between them that are short now and then."""
        for _ in range(self._blows):
            await asyncio.sleep(self._draw.random() * 2 * seconds / self._blows)
            blow = self._draw.choices([k for k, _ in self._kinds], [w for _, w in self._kinds])[0]
            blow()

    def heal(self) -> None:
        """Everything that is still wrong ends now."""
        world = self._world
        world.healing = True
        world.server.loses = lambda kind, link: False
        world.server.behind = 0.0
        world.machine.network.slowest = 0.002
        world.server.dooms.clear()
        for running in world.parts.values():
            running.process.dies_at = 0
            if running.process.paused:
                world.loop.go_on(running.process)
        for link in world.machine.network.links:
            link.up.stalled_until = link.down.stalled_until = 0.0

    def _later(self, seconds: float, do: Callable[..., None], *args: Any) -> None:
        self._world.machine.network.call(seconds, do, *args)

    def _note(self, what: str) -> None:
        self._world.server.trace.note(f"*** {what}")
        self._world.seen[what.split()[0]] += 1

    def _victim(self) -> Any:
        """Mostly an orchestrator: it has most to lose."""
        parts = self._world.parts
        return self._draw.choices(list(parts.values()), [3 if name.startswith("orch") else 1 for name in parts])[0]

    def _link(self) -> Link | None:
        links = [link for link in self._world.machine.network.links if link.open and link.process.alive]
        return self._draw.choice(links) if links else None

    # --- Blows --------------------------------------------------------------------------------------------------------

    def _kill(self) -> None:
        victim = self._victim()
        self._note(f"kill {victim.name}")
        self._world.loop.kill(victim.process)

    def _kill_amid(self) -> None:
        """Before one of its next steps, whatever that will be."""
        process = self._victim().process
        steps = self._draw.randint(1, 300)
        self._note(f"doom {process.name} in {steps} steps")
        process.dies_at = process.steps + steps

    def _kill_over_a_message(self) -> None:
        """Killed when it has sent it, and before it can hear what came of it: had or not. Or paused there, for long."""
        process = self._victim().process
        says = ["magi.log.", "magi.tasks."] if process.name.startswith("orch") else ["magi.inbox.", "$JS.API."]
        subject = self._draw.choice([*says, "$JS.ACK.", "$JS.ACK."])
        what = self._draw.choice(["kill before", "kill after", "pause after"])
        seconds = 5 + 5 * self._draw.random()
        self._note(f"doom {process.name} to a {what} its next message to {subject}")

        def over(link: Link) -> bool:
            if what == "pause after":
                self._pause_for(process, seconds)
                return False
            self._note("killed over a message")
            self._world.loop.kill(process)
            if what == "kill before":
                link.cut()
            return what == "kill before"

        self._world.server.dooms[process] = (subject, over)

    def _pause(self) -> None:
        self._pause_for(self._victim().process, 0.2 + self._draw.random() ** 2 * 8)

    def _pause_for(self, process: Process, seconds: float) -> None:
        """Long enough, and others take over what it has in hand; then it goes on with it."""
        if process.paused or not process.alive:
            return
        self._note(f"pause {process.name} for {seconds:.2f} s")
        self._world.loop.pause(process)
        self._later(seconds, lambda: self._world.loop.go_on(process) if process.paused else None)

    def _cut(self) -> None:
        link = self._link()
        if link:
            late = self._draw.choice([0.0, 0.0, 0.05, 1.0, 3.0])
            self._note(f"cut {link.process.name}, noticed after {late} s")
            link.cut(late)

    def _drop_client(self) -> None:
        initiator = self._draw.choice(self._world.initiators)
        self._note(f"drop {initiator.name}")
        initiator.drop()

    def _lose_some(self) -> None:
        share, seconds = self._draw.choice([0.02, 0.1, 0.3]), self._draw.random() * 2
        self._note(f"lose {share} for {seconds:.2f} s")
        draw = self._draw
        self._world.server.loses = lambda kind, link: kind in LOSSY and draw.random() < share
        self._later(seconds, self._lose_nothing)

    def _lose_nothing(self) -> None:
        self._world.server.loses = lambda kind, link: False

    def _slow(self) -> None:
        """Messages of different connections overtake each other by far."""
        self._note("slow network")
        self._world.machine.network.slowest = 0.05 + self._draw.random()
        self._later(self._draw.random() * 3, self._quick)

    def _quick(self) -> None:
        self._world.machine.network.slowest = 0.002

    def _stall(self) -> None:
        """One direction of a connection."""
        link = self._link()
        if link:
            way = self._draw.choice([link.up, link.down])
            seconds = self._draw.random() * 4
            self._note(f"stall {link.process.name} {'up' if way is link.up else 'down'} for {seconds:.2f} s")
            way.stalled_until = self._world.loop.elapsed + seconds

    def _restart_server(self) -> None:
        if self._world.server.up:
            self._note("restart nats-server")
            self._world.server.crash()
            self._later(0.02 + self._draw.random() * 2, self._world.server.start)

    def _fall_behind(self) -> None:
        """A copy of each replicated stream doesn't know what was stored last, and answers as if it did."""
        by, seconds = 5 * self._draw.random(), 10 * self._draw.random()
        self._note(f"behind by {by:.2f} s for {seconds:.2f} s")
        self._world.server.behind = by
        self._later(seconds, self._catch_up)

    def _catch_up(self) -> None:
        self._world.server.behind = 0.0

    def _deliver_again(self) -> None:
        """At least once means that it may be twice, at any time."""
        self._note("deliver again")
        for consumers in self._world.server.consumers.values():
            for consumer in consumers.values():
                consumer.deliver_again()
