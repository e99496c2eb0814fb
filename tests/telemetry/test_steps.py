"""`magi.telemetry.steps`: what is declared is what is written, and what docs/logs.md says."""

import ast
import re
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import pytest

from magi.telemetry.log_document import document
from magi.telemetry.steps import AROUND, FLOW, SERVERS, STEPS, Step

ROOT = Path(__file__).parents[2]
WHO = {"initiator_id", "voter_id"}
"""What `**who` stands for."""

each = pytest.mark.parametrize("step", [*STEPS, *SERVERS], ids=lambda step: step.name)


class Call(NamedTuple):
    where: str
    level: str
    fields: frozenset[str]


def _lines() -> dict[str, list[Call]]:
    """Every call of a logger in our code that names what happened, by that name."""
    found: dict[str, list[Call]] = defaultdict(list)
    for path in sorted((ROOT / "magi").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
                continue
            name = node.args[0]
            if isinstance(name, ast.Constant) and ast.unparse(node.func.value) in ("log", "_log"):
                fields = {k.arg for k in node.keywords if k.arg}
                if any(k.arg is None for k in node.keywords):
                    fields |= WHO & {field for step in STEPS if step.name == name.value for field in step.fields}
                found[str(name.value)].append(Call(f"{path.name}:{node.lineno}", node.func.attr, frozenset(fields)))
    return found


LINES = _lines()


@each
def test_a_step_is_written_with_its_level_and_with_no_field_but_its_own(step: Step) -> None:
    assert LINES[step.name]
    for call in LINES[step.name]:
        assert (call.level, call.fields - set(step.fields)) == (step.level, set()), call.where
    assert any(call.fields == set(step.fields) for call in LINES[step.name])


def test_the_page_is_printed_from_the_declarations() -> None:
    assert (ROOT / "docs" / "logs.md").read_text() == document(), "python -m magi.telemetry.log_document > docs/logs.md"


def test_names_are_unique_and_everything_is_declared_once() -> None:
    names = [step.name for step in (*STEPS, *SERVERS)]
    assert len(names) == len(set(names)) == len(FLOW) + len(AROUND) + len(SERVERS)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", name) for name in names)


def test_every_line_of_a_log_is_named_by_one_word() -> None:
    """`jq 'select(.event == …)'` has to find it."""
    assert {name: calls[0].where for name, calls in LINES.items() if not re.fullmatch(r"[a-z]+(_[a-z]+)*", name)} == {}
