"""`just chaos`: what CI does in a minute, for as long as you like.

    just chaos [processes|cluster|power-cut] [--minutes M] [--seed N]

`processes` (the default) kills, pauses and cuts off the processes of a whole MAGI, `cluster` kills the leader of three
nats-servers, `power-cut` cuts the power under one (it needs root). Exits 1 when something was lost, doubled or told
wrong, 3 when what had to happen did not, so that the run shows nothing.
"""

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

import uvloop

from tests.chaos import disk, power_cut, run, three_servers

WRONG, VOID = 1, 3


def main() -> int:
    parser = argparse.ArgumentParser(prog="just chaos", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("what", nargs="?", default="processes", choices=("processes", "cluster", "power-cut"))
    parser.add_argument("--minutes", type=float, default=2.0, metavar="M", help="under load (2)")
    parser.add_argument("--seed", type=int, metavar="N", help="the same requests and blows again (any)")
    parser.add_argument("--sync-interval", default="always", help="of nats-server, for power-cut (always)")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(10**9) if options.seed is None else options.seed
    sys.stdout.write(f"{options.what}, {options.minutes:g} minutes, --seed {seed}\n")
    sys.stdout.flush()
    folder = Path(tempfile.mkdtemp(prefix="magi-chaos-"))
    code = WRONG
    try:
        code = uvloop.run(_run(options, folder, seed, 60 * options.minutes))
    finally:
        if code == WRONG:
            sys.stdout.write(f"the data and the logs are in {folder}\n")
        else:
            shutil.rmtree(folder)
    return code


async def _run(options: argparse.Namespace, folder: Path, seed: int, seconds: float) -> int:
    match options.what:
        case "processes":
            result = await run.run(folder / "data", seed, seconds)
            missing = result.report.sometimes.missing
            void = f"void: {', '.join(missing)} never happened" if missing else ""
            return _said(result.report, result.problems, void)
        case "cluster":
            report, problems = await three_servers.run(folder, seed, seconds, kills=1)
            return _said(report, problems)
        case _:
            if why := disk.missing():
                sys.stderr.write(f"no power can be cut here: it {why}\n")
                return VOID
            cuts = await power_cut.run(folder, seed, seconds, options.sync_interval)
            problems = [f"{cuts.lost} of {cuts.acknowledged} acknowledged messages were lost"] if cuts.lost else []
            return _said(cuts, problems + ([cuts.not_started] if cuts.not_started else []))


def _said(report: object, problems: list[str], void: str = "") -> int:
    sys.stdout.write(f"{report}\n")
    for problem in problems:
        sys.stdout.write(f"WRONG: {problem}\n")
    if not problems:
        sys.stdout.write(f"{void or 'nothing is wrong'}\n")
    return WRONG if problems else VOID if void else 0


if __name__ == "__main__":
    sys.exit(main())
