"""What a request costs, for sizing machines: processor time, disk, memory and Postgres, part by part.

    python -m bench.sizing [--sync always] [--requests 3000] [--in-flight 16]

`magi serve` with its three built-in voters over a new data directory; a client on the same machine, which is not
counted. Processor time and bytes a request don't depend on what else the machine does; requests a second do, and aren't
printed. The submission has 430 bytes, as in `bench.load`: add the size of yours.
"""

import argparse
import asyncio
import os
import shutil
import tempfile
import time
import urllib.request
from pathlib import Path

import msgspec
import psutil
import psycopg
import uvloop

from bench.environment import describe
from bench.load import one_client
from magi.embedded.runfile import read_note
from tests.cli.serving import Serve

PARTS = ("gateway", "orchestrator", "voters", "projector", "nats-server", "postgres")


def processes(data: Path) -> dict[str, list[psutil.Process]]:
    """Those of each part, Postgres' workers and voters' children among them."""
    found = {}
    for part in PARTS:
        process = psutil.Process(read_note(data / "run" / f"{part}.json").pid)
        found[part] = [process, *process.children(recursive=True)]
    return found


def cpu(group: list[psutil.Process]) -> float:
    return sum(sum(p.cpu_times()[:2]) for p in group if p.is_running())


def memory(group: list[psutil.Process]) -> int:
    return sum(p.memory_full_info().pss for p in group if p.is_running())


def on_disk(folder: Path) -> int:
    return sum(os.lstat(file).st_blocks * 512 for file in folder.rglob("*") if not file.is_dir())


def monitor(serve: Serve) -> dict[str, object]:
    note = read_note(serve.data / "run" / "nats-server.json")
    with urllib.request.urlopen(f"http://127.0.0.1:{note.monitor_port}/jsz?streams=true&accounts=true") as answer:
        return msgspec.json.decode(answer.read())  # type: ignore[no-any-return]


def streams(serve: Serve) -> dict[str, tuple[int, int]]:
    """Messages and bytes by stream, as nats-server counts."""
    details = monitor(serve)["account_details"]
    found = [s for account in details for s in account.get("stream_detail", ())]  # type: ignore[attr-defined]
    return {s["name"]: (s["state"]["messages"], s["state"]["bytes"]) for s in found}


def postgres_bytes(serve: Serve) -> tuple[int, int]:
    settings = msgspec.json.decode((serve.data / "run" / "magi.json").read_bytes())["settings"]
    with psycopg.connect(settings["postgres.url"], autocommit=True) as connection:
        row = connection.execute(
            "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint, (SELECT count(*) FROM magi.requests)"
            " FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
            " WHERE n.nspname ~ '^magi_v' AND c.relkind = 'r'"
        ).fetchone()
    assert row
    return int(row[0]), int(row[1])


async def load(serve: Serve, requests: int, in_flight: int) -> float:
    """At least so many requests; returns how many."""
    done: list[float] = []

    async def client() -> None:
        while len(done) < requests:
            now = time.perf_counter()
            await one_client(serve.url, serve.token, now, now + 2, done)

    await asyncio.gather(*(client() for _ in range(in_flight)))
    return len(done)


def main(sync: str, requests: int, in_flight: int) -> None:
    print(describe(sync_interval=sync, voters=3, request_bytes=430, requests=requests, in_flight=in_flight))
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        variables = {"MAGI_NATS_SYNC_INTERVAL": sync, "MAGI_VOTERS_BUILTIN": "melchior,balthasar,casper"}
        with Serve(data, **variables, MAGI_LOG_LEVEL="warning") as serve:
            uvloop.run(load(serve, 100, in_flight))
            time.sleep(5)
            groups = processes(data)
            idle = {part: memory(group) for part, group in groups.items()}
            (rows_before, before_rows) = postgres_bytes(serve)
            before, disk, began = streams(serve), on_disk(data / "nats"), time.monotonic()
            spent = {part: cpu(group) for part, group in groups.items()}
            uvloop.run(load(serve, requests, in_flight))
            time.sleep(5)
            took = time.monotonic() - began
            spent = {part: cpu(groups[part]) - spent[part] for part in groups}
            after, rows = streams(serve), postgres_bytes(serve)
            number = rows[1] - before_rows
            print(f"\n{number} requests in {took:.0f} s\n")
            print(f"{'part':14}{'CPU ms/request':>15}{'idle MiB':>10}{'then MiB':>10}")
            for part, group in groups.items():
                now = memory(group)
                print(f"{part:14}{spent[part] / number * 1000:15.2f}{idle[part] / 2**20:10.0f}{now / 2**20:10.0f}")
            print(f"{'all':14}{sum(spent.values()) / number * 1000:15.2f}{sum(idle.values()) / 2**20:10.0f}")
            for name in sorted(after):
                messages, size = (now - then for now, then in zip(after[name], before.get(name, (0, 0)), strict=True))
                if messages:
                    print(f"{name}: {messages / number:.1f} messages, {size / number:.0f} bytes a request")
            print(f"nats-server on the disk: {(on_disk(data / 'nats') - disk) / number:.0f} bytes a request")
            print(f"Postgres, tables and indexes: {(rows[0] - rows_before) / number:.0f} bytes a request")
            print(f"free disk: {shutil.disk_usage(folder).free / 2**30:.0f} GiB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sync", default="always", help="nats-server's sync_interval: always, or a duration")
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--in-flight", type=int, default=16)
    arguments = parser.parse_args()
    main(arguments.sync, arguments.requests, arguments.in_flight)
