"""What logging costs: CPU of a line that is written, and of one that isn't, and so of a request with three voters.

python -m bench.log_lines
"""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from magi.cli import logs
from magi.cli.settings import LogSection
from magi.telemetry.steps import FLOW

TIMES = 20_000
OF_A_REQUEST = {"request": 1, "vote": 3, "event": 8}
"""Lines for each thing that there is one line for, with three voters."""


def microseconds(line: Callable[[], object]) -> float:
    """CPU of one call, the best of five rounds."""
    best = float("inf")
    for _ in range(5):
        began = time.process_time()
        for _ in range(TIMES // 5):
            line()
        best = min(best, time.process_time() - began)
    return best / (TIMES // 5) * 1e6


def main() -> None:
    written, skipped = _measure()
    lines = {level: sum(OF_A_REQUEST.get(s.each, 0) for s in FLOW if s.level == level) for level in ("info", "debug")}
    print(f"a line that is written {written:.1f} µs, one that isn't {skipped:.1f} µs")
    print(f"of a request: {lines['info']} lines at info, {lines['debug']} more at debug")
    print(f"level info  {(lines['info'] * written + lines['debug'] * skipped) / 1000:.3f} ms a request")
    print(f"level debug {(lines['info'] + lines['debug']) * written / 1000:.3f} ms a request")


def _measure() -> tuple[float, float]:
    with Path("/dev/null").open("w") as nowhere, contextlib.redirect_stderr(nowhere):
        settings = LogSection(format="json")
        logs.configure(settings, "bench")
        logs.settle(settings, "bench")
        log = structlog.get_logger()
        fields = {
            "request": "local.73ef203a-5da4-55bd-b0b8-860f235fc107",
            "request_id": "73ef203a-5da4-55bd-b0b8-860f235fc107",
            "initiator_id": "local",
            "trace": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "voter_id": "melchior",
            "vote": "pass",
            "latency_ms": 37,
        }
        return microseconds(lambda: log.info("vote_counted", **fields)), microseconds(
            lambda: log.debug("vote_counted", **fields)
        )


if __name__ == "__main__":
    main()
