"""The report on a night: for each incident which alerts were posted and when, and how long nothing was decided."""

import time

from msgspec import Struct

from tests.chaos.night.load import Load
from tests.chaos.night.receiver import Posted

AFTERWARDS = 45.0
"""Seconds after an incident's end that still belong to it, unless another one begins."""


class Incident(Struct):
    name: str
    began: float
    """Unix time; so is `ended`."""
    ended: float = 0.0
    picture: str = ""


def report(began: float, incidents: list[Incident], posted: list[Posted], load: Load, checks: dict[str, str]) -> str:
    """As Markdown."""
    asked = load.initiator.asked
    undecided = [name for name, one in asked.items() if one.last and not one.final]
    lines = [
        f"# A night of {(time.time() - began) / 60:.0f} minutes",
        "",
        f"{len(asked)} requests, {sum(one.final for one in asked.values())} decided, "
        f"{len(undecided)} acknowledged and not decided; {load.initiator.connections} connections, "
        f"{load.initiator.resumed} resumed; {len(load.initiator.problems)} answers that no client should get.",
        "",
        "| at | incident | lasted | longest time without a verdict | picture |",
        "|---|---|---|---|---|",
    ]
    for one in sorted(incidents, key=lambda one: one.began):
        nexts = [other.began for other in incidents if other.began > one.ended]
        outage = load.outage(one.began, min([one.ended + AFTERWARDS, *nexts]))
        lines.append(
            f"| {_minutes(one.began - began)} | {one.name} | {one.ended - one.began:.0f} s | "
            f"{outage.ended - outage.began:.1f} s, until {outage.ended - one.began:.1f} s after its begin | "
            f"{one.picture} |"
        )
    lines += ["", "| at | notice | alert | after | what it says |", "|---|---|---|---|---|"]
    for notice in posted:
        before = [one for one in incidents if one.began <= notice.at]
        last = max(before, key=lambda one: one.began) if before else None
        after = f"{notice.at - last.began:.0f} s after: {last.name}" if last else ""
        lines.append(
            f"| {_minutes(notice.at - began)} | {notice.type} | {_alert(notice)} | {after} | {_said(notice)} |"
        )
    for command, said in checks.items():
        lines += ["", f"`magi {command}`", "", "```", said.strip()[-1500:], "```"]
    return "\n".join([*lines, ""])


def _minutes(seconds: float) -> str:
    return f"{int(seconds // 60)}:{int(seconds % 60):02}"


def _alert(notice: Posted) -> str:
    return str(notice.data.get("alert", ""))


def _said(notice: Posted) -> str:
    shown = [*notice.data.get("firing", ()), *notice.data.get("resolved", ())]
    if shown:
        return "; ".join(str(one.get("summary", "")) for one in shown[:2])
    return str({key: value for key, value in notice.data.items() if key in ("voter", "reason", "until")})
