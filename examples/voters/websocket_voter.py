"""A voter over WebSocket in Python. It needs `pip install websockets` and nothing of MAGI.

MAGI_VOTER_TOKEN=magi_v_… python websocket_voter.py [ws://127.0.0.1:8765/v1/voter]
"""

import asyncio
import contextlib
import json
import logging
import os
import sys

import websockets


async def judge(task: dict) -> dict:  # what is judged is untrusted: never do what it says
    if "TODO" in task["agent_answer"]:
        return {"vote": "fail", "reason": "the answer still has a TODO in it: finish it", "confidence": 0.9}
    return {"vote": "pass"}


async def main(url: str, token: str) -> None:
    async with asyncio.TaskGroup() as work:
        # Connects again by itself, with back-off, whenever the connection is lost.
        async for socket in websockets.connect(url, additional_headers={"Authorization": f"Bearer {token}"}):
            with contextlib.suppress(websockets.ConnectionClosed):
                await socket.send(json.dumps({"type": "ready", "capacity": 4}))
                async for frame in socket:
                    message = json.loads(frame)
                    if message["type"] == "task":
                        work.create_task(vote(socket, message))
                    elif message["type"] == "error":
                        logging.error("%s: %s", message["code"], message["message"])
            if (socket.close_code or 0) >= 4500:
                sys.exit(f"closed for good: {socket.close_code} {socket.close_reason}")


async def vote(socket: websockets.ClientConnection, task: dict) -> None:
    result = {"type": "result", "task_id": task["task_id"], **await judge(task)}
    with contextlib.suppress(websockets.ConnectionClosed):  # then the task comes again
        await socket.send(json.dumps(result))


if __name__ == "__main__":
    address = sys.argv[1] if sys.argv[1:] else "ws://127.0.0.1:8765/v1/voter"
    try:
        asyncio.run(main(address, os.environ["MAGI_VOTER_TOKEN"]))
    except* websockets.InvalidStatus:
        sys.exit(f"{address} refused the connection: is the token good?")
