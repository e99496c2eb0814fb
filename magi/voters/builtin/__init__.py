"""The voters that come with MAGI."""
from collections.abc import Callable
from msgspec import Struct
from magi.domain.messages import Opinion, Task
class Builtin(Struct, frozen=True):
    description: str
    load: Callable[[], Callable[[Task], Opinion]]
def _stub() -> Callable[[Task], Opinion]:
    return lambda task: Opinion.passes("stub")
BUILTIN: dict[str, Builtin] = {n: Builtin(n, _stub) for n in ("melchior", "balthasar", "casper")}
