"""The parts of `magi serve`: which there are, what each is told, and in which order they stop."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from magi.cli.children import PartCommand, PartProcess
from magi.cli.context import Context
from magi.cli.nats_access import seed_file
from magi.cli.scrape import write_targets
from magi.cli.settings import variable
from magi.cli.views import Views
from magi.embedded import DataDir
from magi.eventstore.rights import Component

log = structlog.get_logger(__name__)

GRACE = 1.5
"""Seconds, at most, that the gateway flushes what clients are owed, so that everything stops within 5 s."""
HEAD_START = 0.5
"""Seconds that the gateway gets before the other parts stop too. It needs 0.05 when all its clients read."""


async def start_parts(
    stack: AsyncExitStack, directory: DataDir, ctx: Context, views: Views, postgres_url: str | None
) -> list[PartProcess]:
    """Start the parts side by side. They get the command line's settings by the environment: no secret is in it."""
    from_options = {s.name: s.value for s in ctx.in_force if s.source.startswith("--")}
    environment = {variable(name): str(value) for name, value in from_options.items()}
    if postgres_url:
        environment[variable("postgres.url")] = postgres_url
    environment[variable("gateway.grace_seconds")] = str(min(ctx.settings.gateway.grace_seconds, GRACE))
    commands = [
        PartCommand("orchestrator", ("orchestrator",), environment=_seed(ctx, "orchestrator")),
        PartCommand("gateway", ("gateway",), port_variable=variable("gateway.port"), environment=_seed(ctx, "gateway")),
        # All of our environment: models' keys and webhooks' secrets are in variables that have any name.
        PartCommand("voters", ("voter", "--all"), environment=_seed(ctx, "voters"), passed_on=("",)),
    ]
    commands.append(PartCommand("projector", ("projector",), environment=_seed(ctx, "projector")))
    section = ctx.settings.operations

    def on_ready() -> None:
        try:
            write_targets(directory.run, section.host)
        except OSError as error:  # a full disk: what is not measured runs all the same
            log.error("scrape_targets_not_written", error=str(error))

    def process(number: int, command: PartCommand) -> PartProcess:
        own = {variable("operations.port"): str(section.port + number)} if section.port else {}
        return PartProcess(directory, command, {**environment, **own}, on_ready)

    *parts, projector = [process(number, command) for number, command in enumerate(commands)]

    async def stop_all() -> None:
        # First nobody is let in any more, then what is under way is finished. A client that doesn't read keeps the
        # gateway for its grace: the others don't wait for that.
        leaving = [asyncio.create_task(part.stop()) for part in parts if part.name == "gateway"]
        await asyncio.wait(leaving, timeout=HEAD_START)
        others = [part.stop() for part in parts if part.name != "gateway"]
        await asyncio.gather(*leaving, *others, views.stop_projector())

    stack.push_async_callback(stop_all)
    try:
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part.start())
            group.create_task(views.start_projector(projector))
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return parts


def _seed(ctx: Context, component: Component) -> dict[str, str]:
    """Tells a part where its own seed is, and no other; nothing where all have the same one."""
    nats = ctx.settings.nats
    if nats.seed_file or not nats.seed_dir:
        return {}
    return {variable("nats.seed_file"): str(seed_file(Path(nats.seed_dir), component))}
