"""What a set of processes takes: processor time, memory, and bytes on disk; and what the disk itself takes."""

import asyncio
import os
import statistics
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import psutil
import psycopg

CALM = 0.2
"""Cores that are in use at most, by all that is measured, before a window begins."""
LOOK = 0.4
"""Seconds over which that is seen."""


def trees(roots: Mapping[str, int]) -> dict[str, list[psutil.Process]]:
    """Each root's process and its descendants, without those that are under another root."""
    found: dict[str, list[psutil.Process]] = {}
    others = set(roots.values())
    for part, pid in roots.items():
        found[part], todo = [], [psutil.Process(pid)]
        while todo:
            process = todo.pop()
            try:
                todo += [child for child in process.children() if child.pid not in others]
            except psutil.NoSuchProcess:
                continue
            found[part].append(process)
    return found


def cpu_seconds(roots: Mapping[str, int]) -> dict[str, float]:
    """User and system time by part, of the processes that live."""
    return {part: sum(map(_cpu, processes)) for part, processes in trees(roots).items()}


def memory_bytes(roots: Mapping[str, int]) -> int:
    """Resident memory of all parts; a page that several share, as Postgres' buffers and forked workers do, counts once.

    Where the system doesn't tell (not Linux), it counts for each of them.
    """
    return sum(_memory(process) for processes in trees(roots).values() for process in processes)


def _cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def _memory(process: psutil.Process) -> int:
    try:
        full = process.memory_full_info()
        return int(getattr(full, "pss", 0) or full.rss)
    except psutil.NoSuchProcess:
        return 0
    except psutil.AccessDenied:
        return int(process.memory_info().rss)


def folder_bytes(folders: Iterable[Path]) -> int:
    """The sizes of all files below, as they are now."""
    return sum(_size(path) for folder in folders for path in folder.rglob("*"))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0  # removed meanwhile


def database_bytes(url: str) -> tuple[int, int]:
    """The database's size, and how much WAL has been written since ever: its files are made anew from old ones."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT pg_database_size(current_database()), pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')"
        ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


async def calm(roots: Mapping[str, int], within: float = 5.0) -> None:
    """Return once all of it idles: what a window left undone is done. At the latest after `within` seconds."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        before = sum(cpu_seconds(roots).values())
        await asyncio.sleep(LOOK)
        if sum(cpu_seconds(roots).values()) - before < CALM * LOOK:
            return


def fdatasync_ms(folder: Path) -> float:
    """Median of forty, each after 4 KiB behind the last: what everybody waits for who calls a thing stored."""
    seconds = []
    with (folder / "fdatasync").open("wb") as file:
        for _ in range(40):
            file.write(b"x" * 4096)
            file.flush()
            before = time.perf_counter()
            os.fdatasync(file.fileno())
            seconds.append(time.perf_counter() - before)
    return statistics.median(seconds) * 1000
