"""How long fuzzers run: once through in CI, or for as many seconds as `MAGI_TEST_FUZZ_SECONDS` says (`just fuzz`)."""

import os
import time
from collections.abc import Callable

SECONDS = float(os.environ.get("MAGI_TEST_FUZZ_SECONDS", "0"))
"""For each of the fuzzers."""


def again_and_again(run: Callable[[], None]) -> None:
    """Run a property, each time with examples of its own, until the time is over; at least once."""
    end = time.monotonic() + SECONDS
    run()
    while time.monotonic() < end:
        run()
