"""`magi.telemetry.stages`: the spans that are declared are those that docs/tracing.md shows."""

from pathlib import Path

import pytest

from magi.telemetry.stages import STAGES, Stage

PAGE = (Path(__file__).parents[2] / "docs" / "tracing.md").read_text()


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_a_stage_is_documented(stage: Stage) -> None:
    assert f"| `{stage.name}` | {stage.kind} | {', '.join(stage.parts)} | {stage.help} |" in PAGE


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage.operation], ids=lambda stage: stage.name)
def test_a_stage_about_a_message_is_named_after_it(stage: Stage) -> None:
    assert stage.name == f"{stage.operation} {stage.template}"
    assert stage.kind == {"send": "producer", "process": "consumer"}[stage.operation or ""]


def test_names_are_given_once() -> None:
    assert len({stage.name for stage in STAGES}) == len(STAGES)
