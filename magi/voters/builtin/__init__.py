"""The built-in voters: three programs that judge without a network. Importing this loads none of them."""

import importlib
from collections.abc import Callable
from typing import cast

from msgspec import Struct

from magi.domain.messages import Opinion, Task

Judgement = Callable[[Task], Opinion]


class Builtin(Struct, frozen=True):
    """A voter that ships with MAGI: what it says of itself, and where its function is."""

    description: str
    module: str

    def load(self) -> Judgement:
        """Its pure, synchronous, thread-safe function, which never raises. The first call imports the parsers."""
        return cast(Judgement, importlib.import_module(self.module).judge)


BUILTIN: dict[str, Builtin] = {
    "melchior": Builtin(
        "Is it well formed: code parses in its language, and data that was asked for is valid.",
        f"{__name__}.melchior",
    ),
    "balthasar": Builtin(
        "Is it safe to hand on: no leaked secrets, private data, injected instructions or destructive commands.",
        f"{__name__}.balthasar",
    ),
    "casper": Builtin(
        "Does it answer the question: no refusal, nothing cut off, the right language, the same subject.",
        f"{__name__}.casper",
    ),
}
"""By voter id."""
