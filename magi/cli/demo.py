"""`magi demo`: real answers of agents, judged before your eyes, on servers that exist for this one minute."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from websockets.asyncio.client import ClientConnection, connect

from magi.cli.context import run_async
from magi.cli.demo_report import Outcome, show_event, show_example, show_next, show_summary
from magi.cli.examples import Example, examples_folder, load_examples
from magi.cli.local_token import token_file
from magi.cli.serve import running
from magi.cli.tls import gateway_tls
from magi.cli.until_stopped import INTERRUPTED, until_stopped


def demo(
    data: Annotated[
        Path | None,
        typer.Option("--data", help="A data directory to use and keep.", show_default="one that is removed again"),
    ] = None,
) -> None:
    """Start everything, judge the examples, show how, and end: takes under a minute and leaves nothing running."""
    examples = load_examples(examples_folder())
    console = Console(highlight=False)
    folder = data.absolute() if data else Path(tempfile.mkdtemp(prefix="magi-demo-"))
    try:
        ended_by = run_async(until_stopped(_demo(folder, examples, console)))
    finally:
        if data is None:
            shutil.rmtree(folder, ignore_errors=True)
    if ended_by:
        raise typer.Exit(INTERRUPTED)


async def _demo(folder: Path, examples: list[Example], console: Console) -> None:
    console.print("Starting nats-server, PostgreSQL, a gateway, an orchestrator and three voters …")
    async with running(folder, {"gateway.port": 0, "log.level": "warning"}) as magi:
        console.print(f"MAGI is ready at {magi.url}\n")
        headers = {"Authorization": f"Bearer {token_file(folder).read_text().strip()}"}
        outcomes: list[Outcome] = []
        tls = gateway_tls(magi.url, magi.tls_ca)
        async with connect(magi.url, ssl=tls, additional_headers=headers, compression=None, max_size=None) as ws:
            for number, example in enumerate(examples, 1):
                outcomes.append(await _judge(ws, number, example, console))
        show_summary(console, outcomes)
    show_next(console)


async def _judge(ws: ClientConnection, number: int, example: Example, console: Console) -> Outcome:
    show_example(console, number, example)
    began = asyncio.get_running_loop().time()
    outcome = Outcome(number=number, title=example.title, expected=example.expect)
    async for event in _submit(ws, example):
        show_event(console, event, asyncio.get_running_loop().time() - began)
        if event["type"] == "final_result":
            outcome.verdict = event["final_vote"]
            outcome.details = event["details"]
            outcome.reason = event["outcome_reason"]
        elif event["type"] == "error":
            outcome.reason = event["message"]
    outcome.seconds = asyncio.get_running_loop().time() - began
    console.print()
    return outcome


async def _submit(ws: ClientConnection, example: Example) -> AsyncIterator[dict[str, Any]]:
    """Send an example, and give its events up to the last."""
    request: dict[str, Any] = {
        "type": "request",
        "request_id": example.request_id,
        "user_query": example.user_query,
        "agent_answer": example.agent_answer,
        "timeout_ms": example.timeout_ms,
        "strategy": example.strategy,
        "metadata": example.metadata,
    }
    if example.voter_list:
        request["voter_list"] = example.voter_list
    await ws.send(msgspec.json.encode(request), text=True)
    while True:
        event: dict[str, Any] = msgspec.json.decode(await ws.recv())
        yield event
        if event["type"] in ("final_result", "error"):
            return
