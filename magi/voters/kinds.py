"""How each kind of voter that MAGI runs itself is made of its registration."""

import contextlib
from collections.abc import AsyncIterator

from magi.domain.ids import VoterId
from magi.domain.voter import Voter
from magi.voters.agent import Judge
from magi.voters.builtin import BUILTIN
from magi.voters.callbacks import CallbackServer
from magi.voters.hosted import MakeJudge
from magi.voters.kind_settings import BadSettings


def hosts(name: VoterId, voter: Voter) -> bool:
    """Whether MAGI can run this voter itself. The others run elsewhere and come to us; built-in ones that we don't
    have are functions that somebody else runs with `magi voter`."""
    return voter.kind in ("http", "llm", "command") or (voter.kind == "builtin" and name in BUILTIN)


def judges(callbacks: CallbackServer | None) -> MakeJudge:
    """Makes judges of registered voters. `callbacks` is where webhooks that take longer send their votes."""

    @contextlib.asynccontextmanager
    async def make(name: VoterId, voter: Voter) -> AsyncIterator[Judge]:
        match voter.kind:
            case "builtin":
                yield BUILTIN[name].load()
            case "http":
                from magi.voters.http_push import http_judge

                called = http_judge(name, voter.settings, callbacks)
                try:
                    yield called.judge
                finally:
                    await called.close()
            case "llm":
                from magi.voters.llm import llm_judge

                asked = llm_judge(voter.settings)
                try:
                    yield asked.judge
                finally:
                    await asked.close()
            case "command":
                from magi.voters.command import command_judge

                yield command_judge(voter.settings).judge
            case kind:
                raise BadSettings(f"voters of the kind {kind} aren't run by MAGI")

    return make
