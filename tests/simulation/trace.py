"""What happened in a run, in order."""

import hashlib
from collections.abc import Callable


class Trace:
    """What happened: its digest always, its text when somebody wants to read it."""

    def __init__(self, *, readable: bool = False) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self.lines: list[str] | None = [] if readable else None
        self.clock: Callable[[], float] = lambda: 0.0
        self.over = False
        """What is said while the run is thrown away is no part of it."""

    def note(self, text: str) -> None:
        if self.over:
            return
        line = f"{self.clock():10.6f} {text}"
        self._hash.update(line.encode())
        if self.lines is not None:
            self.lines.append(line)

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()
