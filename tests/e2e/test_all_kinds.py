"""One panel of all kinds of voters, each registered and run as its operator would, decides a request; it is traced."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from magi.telemetry.stages import PROCESS_TASK, STAGES, TELL
from tests.cli.commands import Result, magi
from tests.cli.serving import Serve, environment
from tests.telemetry.collector import Collector, collecting
from tests.voters.llm.model import completion
from tests.waiting import until

EXAMPLES = Path(__file__).parents[2] / "examples" / "voters"
ON_THE_BUS = """
from magi.voters import Opinion, Task, run


async def judge(task: Task) -> Opinion:
    return Opinion.passes("it is short") if len(task.agent_answer) < 1000 else Opinion.fails("too long")


run("bus", judge)
"""
MODEL_KEY = "sk-of-a-model-0123456789"
KINDS = {
    "melchior": "builtin",
    "bus": "nats",
    "socket": "websocket",
    "hook": "http",
    "model": "llm",
    "lint": "command",
    "ada": "person",
}


class Operator:
    """At the command line of a running `magi serve`, starting what has to run."""

    def __init__(self, serve: Serve, exits: AsyncExitStack) -> None:
        self.serve = serve
        self._exits = exits

    async def magi(self, *arguments: str) -> Result:
        """A command, while what the test serves goes on."""
        return await asyncio.to_thread(magi, *arguments, data=self.serve.data)

    async def add(self, voter: str, *options: str) -> str:
        """Register a voter; returns the last word that was printed: its secret, if it has one."""
        ran = await self.magi("voters", "add", voter, "--kind", KINDS[voter], "--group", "all", *options)
        assert ran.code == 0, ran.stderr
        return ran.stdout.split()[-1]

    async def start(self, *command: str, stdin: bytes = b"", **variables: str) -> None:
        """Run a program until the test ends."""
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env=environment(MAGI_DATA=str(self.serve.data), **variables),
        )
        assert process.stdin
        process.stdin.write(stdin)

        async def end() -> None:
            process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(process.wait(), 30)

        self._exits.push_async_callback(end)

    async def until_running(self) -> None:
        async def running() -> bool:
            listed = json.loads((await self.magi("voters", "list", "--json")).stdout)
            return {voter["voter_id"] for voter in listed if voter["instances"]} >= set(KINDS)

        await until(running, "every voter has an instance", 60)


@asynccontextmanager
async def web_voters() -> AsyncIterator[str]:
    """A webhook that passes, and a model that does; gives their address."""

    async def hook(request: web.Request) -> web.Response:
        task = await request.json()
        assert task["type"] == "task"
        return web.json_response({"vote": "pass", "reason": "the hook has no objection"})

    async def model(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {MODEL_KEY}":
            return web.json_response({"error": {"message": "no such key"}}, status=401)
        return web.json_response(completion({"reason": "It meets the rubric.", "vote": "pass", "confidence": 0.8}))

    app = web.Application()
    app.router.add_post("/hook", hook)
    app.router.add_post("/v1/chat/completions", model)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with collecting() as collector:
        yield collector


@pytest.fixture
async def operator(tmp_path: Path, collector: Collector) -> AsyncIterator[Operator]:
    variables = {"MODEL_KEY": MODEL_KEY, "MAGI_TRACING_ENDPOINT": collector.url, "MAGI_TRACING_RESOURCE": "site=here"}
    with Serve(tmp_path / "data", **variables) as serve:
        async with AsyncExitStack() as exits:
            yield Operator(serve, exits)


async def check_trace(collector: Collector) -> None:
    """What came to the collector is one trace, with every stage of the request and nothing of its content."""
    told = {"received", "adjudicated", "voter_progress", "voter_result"}

    async def whole() -> bool:
        events = [span.attributes["magi.event"] for span in collector.spans if span.name == TELL.name]
        judged = [span for span in collector.spans if span.name == PROCESS_TASK.name]
        known = {span.span_id for span in collector.spans}
        named = {link.partition("-")[2] for span in collector.spans for link in span.links}
        # Each process sends its spans when it comes to it: the last of one may come long after those of another. All
        # voters have a span but the one on the bus, whose program sends none; each ends when its vote is stored.
        return (
            set(events) == told
            and len(judged) == len(KINDS) - 1
            and {span.name for span in collector.spans} == {stage.name for stage in STAGES}
            and all(span.parent in known or span.name == "request" for span in collector.spans)
            and named <= known
        )

    await until(whole, "every stage came to the collector, and whatever another names", 60)
    (trace,) = {span.trace_id for span in collector.spans}
    for span in collector.spans:
        (stage,) = (stage for stage in STAGES if stage.name == span.name)
        assert (span.kind, span.service.removeprefix("magi-") in stage.parts) == (stage.kind, True)
        assert span.attributes["magi.request_id"] == "everybody"
        assert span.resource["site"] == "here"
        assert not span.failed
        if span.kind == "consumer":
            assert [link.partition("-")[0] for link in span.links] == [trace]
    sent = b"".join(collector.bodies)
    assert b"sky" not in sent, "the query"
    assert b"TODO" not in sent, "the answer"
    assert b"objection" not in sent, "a voter's reason"
    assert MODEL_KEY.encode() not in sent


@pytest.mark.timeout(300)
async def test_a_panel_of_all_kinds_decides(operator: Operator, tmp_path: Path, collector: Collector) -> None:
    serve = operator.serve
    program = tmp_path / "on_the_bus.py"
    program.write_text(ON_THE_BUS)
    async with web_voters() as address:
        seed, socket_token, *_, person_token = [
            await operator.add("bus"),
            await operator.add("socket"),
            await operator.add("hook", "--url", f"{address}/hook", "--allow-private"),
            await operator.add(
                "model",
                "--model",
                "m-1",
                "--base-url",
                f"{address}/v1",
                *("--rubric", "Is it so?", "--key-variable", "MODEL_KEY"),
            ),
            await operator.add("lint", "--command", str(EXAMPLES / "no_todo.sh")),
            await operator.add("ada"),
        ]
        await operator.start(sys.executable, str(program), MAGI_NATS_URL=serve.nats_url, MAGI_VOTER_SEED=seed)
        url = f"{serve.url}/v1/voter"
        await operator.start(
            *(sys.executable, str(EXAMPLES / "websocket_voter.py"), url), MAGI_VOTER_TOKEN=socket_token
        )
        await operator.start(
            *(sys.executable, "-m", "magi", "vote", "--as", "ada"),
            stdin=b"f\nI would not hand this on\n",
            MAGI_VOTER_TOKEN=person_token,
        )
        await operator.until_running()
        panel = ",".join(KINDS)
        asked = await operator.magi(
            *("submit", "--query", "Is the sky blue?", "--answer", "Yes, it is. TODO: say why."),
            *("--voters", panel, "--request-id", "everybody", "--timeout-ms", "90000"),
        )
        assert asked.code in (0, 1), asked.stderr
        history = json.loads((await operator.magi("history", "everybody", "--json")).stdout.splitlines()[-1])
        await check_trace(collector)
    assert history["type"] == "adjudicated"
    assert history["decided_by"] == "votes", history
    assert history["details"] == {
        "melchior": history["details"]["melchior"],  # whatever it says, it said it
        "bus": "pass",
        "socket": "fail",
        "hook": "pass",
        "model": "pass",
        "lint": "fail",
        "ada": "fail",
    }
    shown = await operator.magi("history", "everybody")
    assert "I would not hand this on" in shown.stdout
    assert collector.spans[0].trace_id in shown.stdout
    verified = await operator.magi("audit", "verify", "--all")
    assert verified.code == 0, verified.stdout
