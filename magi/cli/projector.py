"""`magi projector`: follows the log into Postgres, until SIGINT or SIGTERM."""

from magi.cli.context import Context, run_async
from magi.cli.options import Data
from magi.cli.parts import run_part
from magi.cli.settings import SettingsError
from magi.eventstore.bus import Bus
from magi.projections.feed import Batching
from magi.projections.projector import Projector, ProjectorSettings


def postgres_url(ctx: Context) -> str:
    """Where Postgres is. Raises SettingsError when nothing says so."""
    url = ctx.settings.postgres.url
    if not url and ctx.note:
        raise SettingsError(
            f"postgres.url: the MAGI that runs over {ctx.data} could not start its Postgres yet; "
            "its log says why, and it tries again now and then"
        )
    if not url:
        raise SettingsError(
            f"postgres.url: no MAGI is running over {ctx.data} to say where Postgres is: start one with `magi serve`, "
            "name its data directory with --data or MAGI_DATA, or set it"
        )
    return url


def projector(data: Data = None) -> None:
    """Keep the Postgres views up to date. Several may run: one works, the others take over."""
    ctx = Context.load(data)
    section = ctx.settings.projections
    settings = ProjectorSettings(
        postgres_url(ctx),
        section.content,
        Batching(section.batch_events, section.batch_ms / 1000, section.catch_up_events),
    )

    def make(bus: Bus, _: int) -> list[Projector]:
        return [Projector(bus, settings)]

    run_async(run_part(ctx, "projector", make, lambda _: None))
