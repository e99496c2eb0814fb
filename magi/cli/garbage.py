"""How often a part's process looks for garbage that only Python's collector can find: objects in circles.

By default that is after every 700 objects, and with thousands of requests in flight these are all alive: the look costs
an eighth of a busy part's time and finds next to nothing, since what a message leaves behind is in no circle.
"""

import gc

OBJECTS = 20_000
"""Made and not freed since the last look at the youngest ones: some megabytes at most."""
YOUNG_LOOKS, OLD_LOOKS = 20, 100
"""After so many looks at the youngest, one at the older ones; and of those, until one at all."""


def collect_rarely() -> None:
    """To be called when a part is ready: what it was started with stays for good, and is not looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS, YOUNG_LOOKS, OLD_LOOKS)
