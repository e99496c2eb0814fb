"""What a request costs as its content, its panel, and the number of processes grow."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from bench.growth_series import Plan, Variant, series
from bench.load import Asking
from bench.rivals import magi_rival

UNLIMITED = {  # and no voter is suspended: the panel would be another
    "MAGI_GATEWAY_QUOTAS_REQUESTS_PER_SECOND": "0",
    "MAGI_ALERTS_ENABLED": "false",
    "MAGI_HEALTH_ENABLED": "false",
    "MAGI_LOG_LEVEL": "error",
}
SENTENCE = "It adds its arguments, and says so in a sentence of its own. "


async def payloads(folder: Path, sync: str, plan: Plan, kib: Sequence[int]) -> None:
    """Answers of so many KiB; each goes into the submission, the first event, and the task of each voter."""
    async with magi_rival(folder, sync, name="payloads", **UNLIMITED) as rival:
        variants = [Variant(f"{size} KiB", rival, Asking(answer=content(size))) for size in kib]
        await series("content", variants, plan)


def content(kib: int) -> str:
    """So many KiB of text."""
    size = kib * 1024
    return (SENTENCE * (size // len(SENTENCE) + 1))[:size]


async def panels(folder: Path, sync: str, plan: Plan, sizes: Sequence[int]) -> None:
    """Panels of so many members, named in the request; one process judges for all of them."""
    names = [f"v{number:02}" for number in range(1, max(sizes) + 1)]
    async with magi_rival(folder, sync, name="panels", voter_ids=names, **UNLIMITED) as rival:
        variants = [Variant(f"{size}", rival, Asking(voters=tuple(names[:size]), panel=size)) for size in sizes]
        await series("panel members", variants, plan)


async def voter_processes(folder: Path, sync: str, plan: Plan, numbers: Sequence[int]) -> None:
    """A panel of three, whose tasks are shared by so many processes."""
    async with AsyncExitStack() as stack:
        variants = []
        for number in numbers:
            rival = magi_rival(folder, sync, name=f"voters-{number}", voter_processes=number, **UNLIMITED)
            variants.append(Variant(f"{number}", await stack.enter_async_context(rival)))
        await series("voter processes", variants, plan)


async def processes(folder: Path, sync: str, plan: Plan) -> None:
    """A second orchestrator, a second gateway, and both; a gateway's share of the connections is the same."""
    async with AsyncExitStack() as stack:
        variants = []
        for name, more in (
            ("one of each", ()),
            ("two orchestrators", ("orchestrator",)),
            ("two gateways", ("gateway",)),
            ("two of both", ("orchestrator", "gateway")),
        ):
            rival = magi_rival(folder, sync, name=name.replace(" ", "-"), more=more, **UNLIMITED)
            variants.append(Variant(name, await stack.enter_async_context(rival)))
        await series("processes", variants, plan)
