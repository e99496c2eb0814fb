"""`$JS.API` of the simulated nats-server, as far as MAGI uses it."""

import base64
from typing import TYPE_CHECKING, Any

import msgspec

from tests.simulation.consumer import Consumer
from tests.simulation.stream import ApiError, Stored, Stream

if TYPE_CHECKING:
    from tests.simulation.server import Server

__all__ = ["ApiError", "serve"]

_NO_STREAM = ApiError(404, 10059, "stream not found")
_NO_CONSUMER = ApiError(404, 10014, "consumer not found")


def serve(server: "Server", api: str, reply: str, body: bytes) -> bool:
    """Answer a request; False when nobody serves its subject, as when a stream is missing that would itself."""
    words = api.split(".")
    match words:
        case ["CONSUMER", "MSG", "NEXT", stream, name]:
            consumer = server.consumers[stream].get(name)
            if consumer is None:
                return False
            consumer.ask(reply, body)
            return True
        case ["DIRECT", "GET", name]:
            stream_found = server.streams.get(name)
            if stream_found is None:
                return False
            _direct_get(server, stream_found, reply, body)
            return True
    asked: dict[str, Any] = msgspec.json.decode(body) if body else {}
    try:
        answer = _answer(server, words, asked)
    except ApiError as error:
        answer = {"error": error.body}
    server.answer(reply, msgspec.json.encode(answer))
    return True


def _answer(server: "Server", words: list[str], asked: dict[str, Any]) -> dict[str, Any]:
    match words:
        case ["STREAM", "CREATE", name]:
            return _create(server, name, asked)
        case ["STREAM", "INFO", name]:
            stream = _stream(server, name)
            found = _described(stream)
            if pattern := asked.get("subjects_filter"):
                found["state"]["subjects"] = stream.subjects(pattern)
            return found
        case ["STREAM", "MSG", "GET", name]:
            return _get(_stream(server, name), asked)
        case ["CONSUMER", "CREATE", name]:
            return _make_consumer(server, name, server.new_id()[:8], asked["config"])
        case ["CONSUMER", "DURABLE", "CREATE", name, durable]:
            return _make_consumer(server, name, durable, asked["config"])
        case ["CONSUMER", "INFO", name, durable]:
            return _consumer(server, name, durable).info()
        case ["CONSUMER", "DELETE", name, durable]:
            consumer = _consumer(server, name, durable)
            del server.consumers[name][durable]
            consumer.delete()
            return {"success": True}
        case ["CONSUMER", "UNPIN", name, durable]:
            _consumer(server, name, durable).unpin()
            return {}
    raise NotImplementedError(f"the simulated server doesn't know $JS.API.{'.'.join(words)}")


def _stream(server: "Server", name: str) -> Stream:
    stream = server.streams.get(name)
    if stream is None:
        raise _NO_STREAM
    stream.expire(server.now())
    return stream


def _consumer(server: "Server", stream: str, name: str) -> Consumer:
    _stream(server, stream)
    consumer = server.consumers[stream].get(name)
    if consumer is None:
        raise _NO_CONSUMER
    return consumer


def _described(stream: Stream) -> dict[str, Any]:
    return {"config": stream.config, "created": stream.created, "state": stream.info()}


def _create(server: "Server", name: str, config: dict[str, Any]) -> dict[str, Any]:
    there = server.streams.get(name)
    if there and there.config != config:
        raise ApiError(400, 10058, "stream name already in use with a different configuration")
    if not there:
        there = server.streams[name] = Stream(config, server.now(), f"created at {server.time():.9f}")
    return {**_described(there), "did_create": True}


def _make_consumer(server: "Server", stream: str, name: str, config: dict[str, Any]) -> dict[str, Any]:
    found = server.consumers[stream].get(name)
    if found is None:
        found = server.consumers[stream][name] = Consumer(server, _stream(server, stream), name, config)
    return found.info()


def _get(stream: Stream, asked: dict[str, Any]) -> dict[str, Any]:
    if "next_by_subj" in asked:
        message = stream.first_from(asked.get("seq", 1), asked["next_by_subj"])
    elif "last_by_subj" in asked:
        last = stream.last_of([asked["last_by_subj"]])
        message = last[-1] if last else None
    else:
        message = stream.messages.get(asked["seq"])
    if message is None:
        raise ApiError(404, 10037, "no message found")
    data = base64.b64encode(message.data).decode()
    return {"message": {"subject": message.subject, "seq": message.seq, "data": data}}


def _direct_get(server: "Server", stream: Stream, reply: str, body: bytes) -> None:
    """Batches: messages, and behind them what is left."""
    stream.expire(server.now())
    asked: dict[str, Any] = msgspec.json.decode(body)
    if "multi_last" in asked:
        messages, left = stream.last_of(asked["multi_last"]), 0
    else:
        pattern, start = asked.get("next_by_subj", ">"), asked.get("seq", 1)
        upto = server.seen_by_a_copy(stream)
        stored = list(stream.all_from(start, pattern))
        found = [message for message in stored if message.time <= upto]
        server.seen["stale read"] += len(found) < len(stored)
        messages, left = found[: asked["batch"]], max(0, len(found) - asked["batch"])
    before = 0
    for number, message in enumerate(messages, 1):
        chained = {"Nats-Num-Pending": str(left + len(messages) - number), "Nats-Last-Sequence": str(before)}
        server._out("answer", reply, reply, "", {**_about(stream, message), **chained}, message.data)
        before = message.seq
    if messages:
        server.status(reply, 204, "EOB", {"Nats-Num-Pending": str(left), "Nats-Last-Sequence": str(before)})
    else:
        server.status(reply, 404, "No Results")


def _about(stream: Stream, message: Stored) -> dict[str, str]:
    return {
        **message.headers,
        "Nats-Stream": stream.name,
        "Nats-Subject": message.subject,
        "Nats-Sequence": str(message.seq),
    }
