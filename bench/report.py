"""What `bench.side_by_side` measured, as data, as text for a terminal, and as tables for `docs/performance.md`."""

from msgspec import Struct

LABELS = {
    "floor": "the floor",
    "magi": "**MAGI**",
    "eventsourcing": "eventsourcing, Postgres",
    "faststream": "FastStream, NATS",
    "celery": "Celery, Redis",
    "dbos": "DBOS, Postgres",
}


class Window(Struct):
    """Of one contender in one round; bytes and processor time are those of a request."""

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms: dict[str, float]
    """By part; all that the contender started, without the client."""
    kept_bytes: float
    """By which its store has grown once all is done."""
    wal_bytes: float
    """What Postgres wrote into its WAL besides, whose files are used again and again."""
    memory_bytes: int
    """Of all its processes at the end of the load."""


class Figures(Struct):
    """Of one contender at one number of requests in flight."""

    name: str
    in_flight: int
    to_floor: float
    """Median of its rate over the floor's in the same round; 0 without a floor."""
    median: Window
    rounds: list[Window]


class About(Struct):
    name: str
    settings: str
    survives: str
    idle_cores: float
    """In use while nobody asked for anything."""


class Report(Struct):
    environment: list[str]
    contenders: list[About]
    notes: list[str]
    """What a reader must know: who was not measured and why, and what else the machine did."""
    figures: list[Figures]

    @property
    def levels(self) -> list[int]:
        return sorted({figures.in_flight for figures in self.figures})

    def of(self, name: str, in_flight: int) -> Figures:
        """Raises StopIteration when that was not measured."""
        return next(figures for figures in self.figures if (figures.name, figures.in_flight) == (name, in_flight))


def as_text(figures: Figures) -> str:
    """A line for a terminal."""
    one = figures.median
    parts = ", ".join(f"{part} {ms:.2f}" for part, ms in sorted(one.cpu_ms.items(), key=lambda part: -part[1]))
    return (
        f"{figures.in_flight:>4} in flight  {figures.name:13} {one.per_second:8.1f} req/s  ×{figures.to_floor:<5.2f}"
        f" p50 {one.p50_ms:7.1f} p99 {one.p99_ms:7.1f} ms  CPU {sum(one.cpu_ms.values()):6.2f} ms"
        f"  kept {one.kept_bytes / 1024:5.1f} KiB + WAL {one.wal_bytes / 1024:4.1f}"
        f"  {one.memory_bytes / 2**20:4.0f} MiB  ({parts})"
    )


def as_markdown(report: Report) -> str:
    """The tables, and what they were measured on."""
    levels, last = report.levels, report.levels[-1]
    lines = ["| requests/s (× the floor), p50 / p99 in ms |" + "".join(f" {level} in flight |" for level in levels)]
    lines.append("|---|" + "---|" * len(levels))
    for about in report.contenders:
        cells = [report.of(about.name, level) for level in levels]
        lines.append(f"| {LABELS[about.name]} |" + "".join(f" {_speed(figures)} |" for figures in cells))
    lines += [
        "",
        f"| a request takes | CPU-ms at {levels[0]} in flight | at {last} | of which | KiB kept | KiB of WAL besides"
        " | MiB of memory, all processes |",
        "|---|---|---|---|---|---|---|",
    ]
    for about in report.contenders:
        first, one = report.of(about.name, levels[0]).median, report.of(about.name, last).median
        lines.append(
            f"| {LABELS[about.name]} | {sum(first.cpu_ms.values()):.1f} | {sum(one.cpu_ms.values()):.1f}"
            f" | {_parts(one)} | {one.kept_bytes / 1024:.1f} | {one.wal_bytes / 1024:.1f}"
            f" | {one.memory_bytes / 2**20:.0f} |"
        )
    lines += ["", "| | runs on | what was acknowledged survives | cores in use when idle |", "|---|---|---|---|"]
    lines += [
        f"| {LABELS[about.name]} | {about.settings} | {about.survives} | {about.idle_cores:.2f} |"
        for about in report.contenders
    ]
    return "\n".join([*lines, "", *(f"**{note}.**\n" for note in report.notes), "```text", *report.environment, "```"])


def _speed(figures: Figures) -> str:
    one = figures.median
    return f"{_number(one.per_second)} ({figures.to_floor:.2g}), {_number(one.p50_ms)} / {_number(one.p99_ms)}"


def _parts(one: Window) -> str:
    """Those that take a twentieth or more, the largest first."""
    total = sum(one.cpu_ms.values())
    parts = sorted(one.cpu_ms.items(), key=lambda part: -part[1])
    return ", ".join(f"{part} {ms:.2f}" for part, ms in parts if ms >= total / 20)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 20 else f"{value:.1f}"
