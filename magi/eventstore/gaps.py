"""What lies behind messages that a stream can't give any more, such as a whole block of its file that is broken.

nats-server (2.15) keeps full blocks compressed. One wrong byte makes such a block unreadable as a whole, some ten
thousand messages: whoever asks for one of them is told that there is none, nor any behind it, and a consumer that comes
there gets nothing for ever. What lies in later blocks can be had by its number.
"""

from collections.abc import Awaitable, Callable


async def first_readable(read: Callable[[int], Awaitable[int | None]], start: int, stop: int) -> int | None:
    """The first sequence behind `start`, which can't be read, that can be; None when there is none up to `stop`.

    `read` gives the sequence of the first message at or behind one, or None. Of several gaps near each other the last
    one's end may be found. Asks twice as often as the gap's length has binary digits.
    """
    bad, step = start, 1
    while True:
        if bad >= stop:
            return None
        good = min(bad + step, stop)
        found = await read(good)
        if found is not None:
            break
        bad, step = good, 2 * step
    low = bad + 1
    while low < good:
        middle = (low + good) // 2
        nearer = await read(middle)
        if nearer is None:
            low = middle + 1
        else:
            good, found = middle, nearer
    return found
