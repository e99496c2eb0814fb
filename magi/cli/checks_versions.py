"""What `magi doctor` looks at in the versions of the parts that run: an upgrade that was left half done.

Each `judge_…` is pure; each `check_…` looks and has it judged.
"""

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence

import magi
from magi.cli.context import Context
from magi.cli.findings import Finding, ok, warning
from magi.cli.http_get import CannotGet, get
from magi.cli.metrics import known_targets
from magi.cli.scrape import Target
from magi.eventstore.presence import Instance

_BUILD = re.compile(r'^magi_build_info\{[^}]*version="([^"]*)"', re.MULTILINE)
_PART = re.compile(r'^magi_build_info\{[^}]*part="([^"]*)"', re.MULTILINE)


async def check_versions(ctx: Context, instances: Iterable[Instance]) -> Finding:
    """Of the instances that say which one they run, and of the parts whose operations ports are known."""
    told = await asyncio.gather(*(_told(target) for target in known_targets(ctx)))
    running: dict[str, list[str]] = {}
    # A voter's own program may be of any age: it speaks the protocol, and no more.
    for what, version in [*[(i.part, i.version) for i in instances if i.part == "orchestrator"], *told]:
        if version:
            running.setdefault(version, []).append(what)
    return judge_versions(running)


async def _told(target: Target) -> tuple[str, str]:
    try:
        _, body = await get(f"http://{target.address}/metrics")
    except CannotGet:
        return target.part, ""
    text = body.decode(errors="replace")
    found, part = _BUILD.search(text), _PART.search(text)
    return target.part or (part[1] if part else "?"), found[1] if found else ""


def judge_versions(running: Mapping[str, Sequence[str]], ours: str = magi.__version__) -> Finding:
    """`running`: by version, the parts that run it."""
    shown = "; ".join(f"{version}: {', '.join(sorted(set(parts)))}" for version, parts in sorted(running.items()))
    if len(running) > 1:
        return warning(
            "versions",
            shown,
            "restart the older ones: parts of two versions are for an upgrade only (docs/operations.md)",
        )
    if running and ours not in running:
        return warning("versions", f"{shown}; this command is {ours}", "use the command of the version that runs")
    return ok("versions", shown or f"no part tells its own; this command is {ours}")
