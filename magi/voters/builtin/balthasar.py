"""Balthasar: is the answer safe to hand on. Secrets, private data, orders to machines, destructive commands."""

from magi.domain.messages import Opinion, Task
from magi.voters.builtin import BUILTIN, fences
from magi.voters.builtin.safety import commands, injection, private_data, secrets
from magi.voters.builtin.text import told

DESCRIPTION = BUILTIN["balthasar"].description

_SCANS = ("secrets", "private data", "orders to machines", "hidden text", "dangerous commands")


def judge(task: Task) -> Opinion:
    """Fails an answer with anything in it that should not be handed on, passes every other, abstains on an empty one.

    Never raises; linear in the length of the answer: about a second for 256 KiB of the worst text found.
    """
    answer, query = task.agent_answer.replace("\r\n", "\n").replace("\r", "\n"), task.user_query
    if not answer.strip():
        return Opinion.abstains("The answer is empty: there is nothing to hand on.")
    prose = fences.split(answer).prose.split("\n")
    unfenced = frozenset(number for number, line in enumerate(prose, 1) if line.strip())
    findings = [
        *secrets.scan(answer, query),
        *private_data.scan(answer, query),
        *injection.scan(answer, query),
        *commands.scan(answer, query, unfenced),
    ]
    if findings:
        findings.sort(key=lambda finding: finding.confidence, reverse=True)
        return Opinion.fails(told([str(finding) for finding in findings]), findings[0].confidence)
    return Opinion.passes(f"Nothing dangerous found: {len(_SCANS)} checks ({', '.join(_SCANS)}).", 0.8)
