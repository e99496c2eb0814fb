"""`magi.telemetry.steps`: what is declared is what is written, and what docs/logs.md says."""

import ast
import re
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import pytest

from magi.telemetry.log_document import document
from magi.telemetry.steps import AROUND, FLOW, STEPS, Step

ROOT = Path(__file__).parents[2]
WHO = {"initiator_id", "voter_id"}
"""What `**who` stands for."""

each = pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)


class Call(NamedTuple):
    where: str
    level: str
    fields: frozenset[str]


def _written() -> dict[str, list[Call]]:
    """Every call of a logger in our code that names a declared step."""
    names = {step.name for step in STEPS}
    found: dict[str, list[Call]] = defaultdict(list)
    for path in sorted((ROOT / "magi").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
                continue
            name = node.args[0]
            if isinstance(name, ast.Constant) and name.value in names and ast.unparse(node.func.value) == "log":
                fields = {k.arg for k in node.keywords if k.arg}
                if any(k.arg is None for k in node.keywords):
                    fields |= WHO & {field for step in STEPS if step.name == name.value for field in step.fields}
                found[name.value].append(Call(f"{path.name}:{node.lineno}", node.func.attr, frozenset(fields)))
    return found


WRITTEN = _written()


@each
def test_a_step_is_written_with_its_level_and_with_no_field_but_its_own(step: Step) -> None:
    assert WRITTEN[step.name]
    for call in WRITTEN[step.name]:
        assert (call.level, call.fields - set(step.fields)) == (step.level, set()), call.where
    assert any(call.fields == set(step.fields) for call in WRITTEN[step.name])


def test_the_page_is_printed_from_the_declarations() -> None:
    assert (ROOT / "docs" / "logs.md").read_text() == document(), "python -m magi.telemetry.log_document > docs/logs.md"


def test_names_are_unique_and_everything_is_declared_once() -> None:
    names = [step.name for step in STEPS]
    assert len(names) == len(set(names)) == len(FLOW) + len(AROUND)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", name) for name in names)
