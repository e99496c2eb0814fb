"""What `magi doctor` looks at in Postgres: its clock, and whether the views follow the log.

Each `judge_…` is pure; each `check_…` looks and has it judged.
"""

import time
from typing import TYPE_CHECKING

from magi.cli.checks_bus import judge_clock
from magi.cli.findings import Finding, error, ok, warning
from magi.cli.sizes import rough_size
from magi.eventstore.bus import Bus

if TYPE_CHECKING:
    from magi.projections.status import Status

BEHIND = 5_000
"""Messages: more than a projector has in hand while it keeps up. It writes tens of thousands a second."""
CHECK = "projections"


async def check_views(url: str, bus: Bus) -> list[Finding]:
    """Nothing when there is no Postgres, or it doesn't answer: that is told elsewhere."""
    if not url:
        return []
    import psycopg  # here: it takes a tenth of a second, and every command would pay for it

    from magi.projections.errors import NoTables, ProjectionError
    from magi.projections.postgres import connect
    from magi.projections.status import status

    try:
        connection = await connect(url)
    except ProjectionError:
        return []
    async with connection:
        try:
            before = time.time_ns() // 1_000_000
            row = await (
                await connection.execute("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")
            ).fetchone()
            after = time.time_ns() // 1_000_000
            clock = judge_clock(int(row[0]) if row else before, before, after, "Postgres")
            found = [] if clock.status == "ok" else [clock]
            return [*found, *judge_views(await status(connection, bus))]
        except NoTables:
            advice = "start one: `magi projector`, or `magi serve`"
            return [warning(CHECK, "there are no tables yet: no projector has run", advice)]
        except (ProjectionError, psycopg.Error) as problem:
            return [
                error(CHECK, f"can't be looked at: {str(problem).splitlines()[0]}", "see `magi projections status`")
            ]


def judge_views(found: "Status") -> list[Finding]:
    """The version behind the views. What stands is an error: it doesn't go on by itself."""
    live = {version.version for version in found.versions if version.state == "live"}
    findings = [
        error(
            CHECK,
            f"{halt.projection} stands at {halt.sequence}: {halt.reason}",
            "`magi projections status` says what to do: skip, rebuild, or look at the stream first",
        )
        for halt in found.live_halts
    ]
    halted = {halt.projection for halt in found.live_halts}
    for progress in found.progress:
        if progress.version not in live or progress.projection in halted:
            continue
        name = progress.projection
        if progress.same_stream is False:
            made_anew = f"{name} was written from another {progress.stream} than the one that is there"
            advice = "is it the right nats-server? If the stream was made anew: `magi projections rebuild`"
            findings.append(error(CHECK, made_anew, advice))
        elif name not in found.working:
            behind = "" if progress.behind is None else f", {progress.behind} messages behind"
            advice = "start a projector: `magi projector`, or `magi serve`; its log says why it can't"
            findings.append(warning(CHECK, f"nobody moves {name} forward{behind}", advice))
        elif progress.behind is not None and progress.behind > BEHIND:
            advice = "wait, and look again. If it grows: is Postgres short of disk or processor, or is a table locked?"
            findings.append(warning(CHECK, f"{name} is {progress.behind} messages behind", advice))
    size = rough_size(sum(size.bytes for size in found.sizes))
    return findings or [ok(CHECK, f"up to date, {size} in Postgres")]
