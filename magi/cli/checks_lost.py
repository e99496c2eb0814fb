"""What `magi doctor` looks at in streams that are missing or were made anew: what became of those before.

Each `judge_…` is pure; each `check_…` looks and has it judged.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from magi.cli.context import Context
from magi.cli.findings import Finding, error, warning
from magi.cli.lost_streams import FILE, KEPT, Files, created, explained, files_of, mend, remembered, store_dir
from magi.eventstore.bus import Bus
from magi.eventstore.differences import Difference

CHECK = "streams"


async def check_lost(ctx: Context, bus: Bus, differences: Sequence[Difference]) -> list[Finding]:
    """Those of the streams in `differences` that are missing, with what is known of them."""
    nats = ctx.settings.nats
    missing = [d.stream for d in differences if d.field == "stream"]
    known = remembered(ctx.data, nats.url)
    found = judge_new(known, await created(bus.nc), ctx.data / FILE) if known else []
    kept = [stream for stream in missing if stream in KEPT]
    if kept:
        left = files_of(await store_dir(nats.monitor_url), kept)
        found.append(judge_missing(kept, left, {s: at for s, at in known.items() if s in kept}))
    if others := [stream for stream in missing if stream not in KEPT]:
        advice = "an orchestrator makes the one for presence; `magi streams apply` makes both"
        found.append(warning(CHECK, f"{', '.join(others)} missing: forgets nothing that matters", advice))
    return found


def judge_missing(missing: Sequence[str], left: Mapping[str, Files], known: Mapping[str, str]) -> Finding:
    """`left` and `known`: by stream, the files that are there all the same, and when one that was seen was created."""
    if left or known:
        found = explained(left, known)
        return error(CHECK, found, f"{mend(left)}. Don't create them: that deletes what is left of them")
    advice = (
        "a new installation: `magi streams apply`. If they were there before, find out first why nats-server doesn't "
        "have them: another server, `store_dir`, account or encryption `key`; its log says what it could not read"
    )
    return error(CHECK, f"{', '.join(missing)} missing", advice)


def judge_new(known: Mapping[str, str], now: Mapping[str, str], file: Path) -> list[Finding]:
    """By stream, when it was created: as was seen, and as it is. One that was made anew holds nothing of the old."""
    return [
        error(
            CHECK,
            f"{stream} was made anew at {now[stream]}; the one before, of {at}, is gone",
            f"restore it from a backup, or, if that was meant: remove {file}, and `magi projections rebuild`",
        )
        for stream, at in known.items()
        if stream in now and now[stream] != at
    ]
