"""A voter that is a program."""

import asyncio
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from magi.voters import Opinion
from magi.voters.agent import CannotJudge
from magi.voters.command import CommandJudge, command_judge
from magi.voters.kind_settings import BadSettings
from tests.voters.tasks import a_task
from tests.waiting import until

NO_TODO = Path(__file__).parents[2] / "examples" / "voters" / "no_todo.sh"


def says(script: str, **settings: Any) -> CommandJudge:
    """A voter in a line of shell."""
    return command_judge({"argv": ["sh", "-c", script], **settings})


async def refusal(judge: CommandJudge, seconds: float = 30.0) -> str:
    with pytest.raises(CannotJudge) as caught:
        await judge.judge(a_task(seconds))
    return str(caught.value)


@pytest.mark.parametrize(
    ("said", "opinion"),
    [
        ('{"vote": "pass"}', Opinion.passes()),
        ('{"vote":"fail","reason":"no tests","confidence":0.5}', Opinion.fails("no tests", 0.5)),
        ('\n {"vote": "abstain", "reason": null, "confidence": null}\n\n', Opinion.abstains()),
        ('{"vote": "pass", "confidence": 1, "cost": {"usd": 0}}', Opinion.passes(None, 1.0)),
    ],
)
async def test_what_it_says_is_its_vote(said: str, opinion: Opinion):
    assert await says(f"cat >/dev/null; echo '{said}'").judge(a_task()) == opinion


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("pass", "malformed"),
        ('{"vote": "maybe"}', "vote"),
        ('{"vote": "PASS"}', "vote"),
        ('{"reason": "good"}', "vote"),
        ('{"vote": "pass", "confidence": 1.5}', "confidence"),
        ('{"vote": "pass", "confidence": "high"}', "confidence"),
        ('{"vote": "pass", "reason": 7}', "reason"),
        ('Sure! {"vote": "pass"}', "malformed"),
        ('{"vote": "pass"} {"vote": "fail"}', "trailing"),
        ('["pass"]', "object"),
        ("[" * 5000, "no vote"),
        (r"{\"vote\": \"pass\", \"reason\": \"\377\"}", "no vote"),
    ],
)
async def test_what_is_no_vote_is_none(said: str, why: str):
    assert why in await refusal(says(f"printf '%b' '{said}'"))


async def test_the_task_comes_as_one_line_of_json(tmp_path: Path):
    task = a_task(user_query="line one\nline two", agent_answer="ü \u2028 judged", attempt=2)
    await says(f'cat >{tmp_path}/task; echo \'{{"vote": "pass"}}\'').judge(task)
    raw = (tmp_path / "task").read_text()
    assert raw.index("\n") == len(raw) - 1
    assert json.loads(raw) == {
        "type": "task",
        "task_id": task.task_id,
        "request_id": "r-1",
        "user_query": "line one\nline two",
        "agent_answer": "ü \u2028 judged",
        "deadline": task.deadline,
        "metadata": {"model": "m"},
        "attempt": 2,
    }


async def test_a_vote_of_a_program_that_then_fails_does_not_count():
    why = await refusal(
        says("""echo '{"vote": "pass"}'; echo first >&2; printf 'no \\033[2J model\\n\\n' >&2; exit 3""")
    )
    assert why == "the command ended with exit status 3: no \\x1b[2J model"


async def test_the_signal_that_ended_it_is_named():
    assert await refusal(says("kill -SEGV $$")) == "the command was ended by SIGSEGV"


async def test_silence_is_no_vote():
    assert await refusal(says("echo why >&2")) == "the command said nothing: why"


async def test_a_flood_is_no_vote():
    assert await refusal(says("yes", max_output_bytes=64)) == "the command wrote more than 64 bytes and was stopped"


async def test_it_has_the_time_that_is_set():
    why = await refusal(says("echo stuck >&2; exec sleep 60", timeout_seconds=1.5))
    assert why == "the command took longer than 1.5 s and was stopped: stuck"


async def test_the_deadline_leaves_time_to_say_that_it_took_too_long():
    why = await refusal(says("exec sleep 60"), seconds=2.0)
    found = re.search(r"took longer than (\d\.\d+) s", why)
    assert found, why
    assert 0.5 < float(found[1]) < 1.65, "a fifth of a short time is kept back"


async def test_what_can_not_be_started_says_why(tmp_path: Path):
    plain = tmp_path / "plain"
    plain.write_text("x")
    for argv, why in (["/no/such"], "No such file"), ([str(plain)], "Permission denied"):
        assert why in await refusal(command_judge({"argv": argv}))


async def test_it_ends_when_its_voter_stops(tmp_path: Path):
    judging = asyncio.create_task(says(f"echo $$ >{tmp_path}/pid; exec sleep 60").judge(a_task()))

    async def begun() -> bool:
        return (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith("\n")

    await until(begun, "the command runs")
    judging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await judging
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


async def test_it_sees_what_it_is_allowed_to_see_and_nothing_of_ours(monkeypatch: pytest.MonkeyPatch):
    for name in ("MAGI_VOTER_SEED", "MODEL_KEY", "OTHER_KEY"):
        monkeypatch.setenv(name, "secret")
    judge = says("""printf '{"vote": "pass", "reason": "%s"}' "$(env | cut -d= -f1 | sort | tr '\\n' ' ')" """,
                 env=["MODEL_KEY", "NOT_SET"])  # fmt: skip
    seen = set(((await judge.judge(a_task())).reason or "").split())
    assert {"PATH", "MODEL_KEY"} <= seen
    assert not {name for name in seen if name.startswith("MAGI") or name in {"OTHER_KEY", "NOT_SET"}}


async def test_what_it_was_entrusted_with_is_not_in_its_last_words(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MODEL_KEY", "sk-1234567")
    why = await refusal(says('echo "refused: $MODEL_KEY" >&2; exit 1', env=["MODEL_KEY"]))
    assert why == "the command ended with exit status 1: refused: ***"


async def test_no_shell_reads_its_arguments():
    judge = command_judge({"argv": ["printf", '{"vote": "pass", "reason": "%s"}', "$HOME; `id` && *"]})
    assert (await judge.judge(a_task())).reason == "$HOME; `id` && *"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, "argv"),
        ({"argv": []}, "argv"),
        ({"argv": [""]}, "argv"),
        ({"argv": "true; false"}, "argv"),
        ({"argv": ["a\0b"]}, "argv"),
        ({"argv": ["true"], "timeout_seconds": 0}, "timeout_seconds"),
        ({"argv": ["true"], "max_output_bytes": 1}, "max_output_bytes"),
        ({"argv": ["true"], "env": ["MAGI_VOTER_SEED"]}, "MAGI_VOTER_SEED"),
        ({"argv": ["true"], "env": ["A=B"]}, "env"),
        ({"argv": ["true"], "shell": True}, "shell"),
    ],
)
def test_settings_that_do_not_fit_are_refused_and_named(settings: dict[str, Any], named: str):
    with pytest.raises(BadSettings, match=named):
        command_judge(settings)


@pytest.mark.parametrize(
    ("answer", "vote"),
    [
        ("def f():\n    return 1", "pass"),
        ("def f():\n    pass  # TODO: write it", "fail"),
        ("", "pass"),
        ('quotes " and \\ and "agent_answer":"', "pass"),
        ('said "TODO"', "fail"),
        ("x" * 200_000 + "TODO", "fail"),
        ("x" * 200_000, "pass"),
        ("ü \u2028 \x00 TODO", "fail"),
    ],
)
async def test_the_example_in_a_shell_script_votes(answer: str, vote: str):
    task = a_task(
        user_query='TODO "agent_answer":"TODO"', agent_answer=answer, metadata={"agent_answer": "TODO", "x": "TODO"}
    )
    opinion = await command_judge({"argv": [str(NO_TODO)]}).judge(task)
    assert opinion.vote == vote
    assert opinion.reason


async def test_the_example_fails_without_a_task():
    judge = command_judge({"argv": ["sh", "-c", f"echo '{{}}' | {NO_TODO}"]})
    assert await refusal(judge) == "the command ended with exit status 1: no agent_answer in this task"
