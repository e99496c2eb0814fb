"""A nats-server with JetStream in memory: the protocol of its clients, subjects, and who listens to what.

It does what MAGI asks of the real one and no more; a request that it doesn't know fails the run. What it says is held
to what the real one says by `contract.py`.
"""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from tests.simulation import api
from tests.simulation.consumer import Consumer
from tests.simulation.loop import START, Process
from tests.simulation.pipe import Link, Network
from tests.simulation.stream import Headers, Stored, Stream
from tests.simulation.trace import Trace

MAX_PAYLOAD = 4 * 1024 * 1024
_INFO = msgspec.json.encode(
    {"server_id": "SIMULATED", "version": "2.15.1", "headers": True, "max_payload": MAX_PAYLOAD, "proto": 1}
)

Loses = Callable[[str, Link], bool]
"""Whether a message is lost, by its kind (to a client the `ack` of a publish, the `delivery` of a consumer, `core` …;
of a client what is `said` of a delivery), and whose it is."""


class _Sub(Struct, eq=False):
    link: Link
    sid: str
    subject: str
    queue: str = ""
    left: int = -1


class Server:
    """A `Listener`."""

    def __init__(self, network: Network, seed: int | str, trace: Trace) -> None:
        self._network = network
        self._draw = random.Random(f"server {seed}")
        self.trace = trace
        self.streams: dict[str, Stream] = {}
        self.consumers: dict[str, dict[str, Consumer]] = defaultdict(dict)
        self.up = True
        self.loses: Loses = lambda kind, link: False
        self.dooms: dict[Process, tuple[str, Callable[[Link], bool]]] = {}
        """What is to happen over a process' next message to such a subject; it returns whether the message is lost."""
        self.on_stored: Callable[[str, Stored], None] = lambda stream, message: None
        self.behind = 0.0
        """Seconds that a copy of the replicated streams is behind their leader."""
        self.seen: Counter[str] = Counter()
        """What happened that a run is for."""
        self._subs: dict[Link, dict[str, _Sub]] = {}
        self._exact: defaultdict[str, list[_Sub]] = defaultdict(list)
        self._patterns: defaultdict[str, list[_Sub]] = defaultdict(list)
        """By what stands before the wildcard, which is the last token."""

    # --- For streams and consumers ------------------------------------------------------------------------------------

    def time(self) -> float:
        return self._network.loop.elapsed

    def now(self) -> int:
        return int((START + self.time()) * 1e9)

    def call(self, delay: float, callback: Callable[..., None], *args: Any) -> asyncio.TimerHandle:
        return self._network.call(delay, callback, *args)

    def new_id(self) -> str:
        return f"{self._draw.getrandbits(64):016x}"

    def lateness(self) -> float:
        return self._draw.random() * 0.02

    def seen_by_a_copy(self, stream: Stream) -> int:
        """Up to when what was stored is known to the copy that answers a direct get: the leader's, or one behind it."""
        if not self.behind or stream.config["num_replicas"] == 1 or self._draw.random() < 0.3:
            return self.now()
        return self.now() - int(self.behind * 1e9)

    def listens(self, subject: str) -> bool:
        return any(True for _ in self._listeners(subject))

    def status(self, subject: str, code: int, why: str, headers: Headers | None = None) -> None:
        """A message without a body, whose status says it all."""
        self._out("status", subject, subject, "", {" ": f"{code} {why}", **(headers or {})}, b"")

    def deliver(self, inbox: str, subject: str, reply: str, headers: Headers, data: bytes) -> None:
        """A message of a stream to the inbox of who asked for it."""
        self._out("delivery", inbox, subject, reply, headers, data)

    def answer(self, inbox: str, data: bytes, headers: Headers | None = None) -> None:
        if inbox:
            self._out("answer", inbox, inbox, "", headers or {}, data)

    # --- Subjects -----------------------------------------------------------------------------------------------------

    def _listeners(self, subject: str) -> "list[_Sub]":
        found = list(self._exact.get(subject, ()))
        head, _, _ = subject.rpartition(".")
        found += self._patterns.get(f"{head}.*", ())
        while head:
            found += self._patterns.get(f"{head}.>", ())
            head = head.rpartition(".")[0]
        return [sub for sub in found if sub.link.open]

    def _out(self, kind: str, inbox: str, subject: str, reply: str, headers: Headers, data: bytes) -> None:
        groups: dict[str, list[_Sub]] = {}
        for sub in self._listeners(inbox):
            if sub.queue:
                groups.setdefault(sub.queue, []).append(sub)
            else:
                self._send(kind, sub, subject, reply, headers, data)
        for group in groups.values():
            self._send(kind, self._draw.choice(group), subject, reply, headers, data)

    def _send(self, kind: str, sub: _Sub, subject: str, reply: str, headers: Headers, data: bytes) -> None:
        link = sub.link
        if self.loses(kind, link):
            self.trace.note(f"{link.process.name} << LOST {kind} {subject}")
            self.seen[f"lost {kind}"] += 1
            return
        to = f"{reply} " if reply else ""
        if headers:
            lines = "".join(f"{k}: {v}\r\n" for k, v in headers.items() if k != " ")
            status = f" {headers[' ']}" if " " in headers else ""
            head = f"NATS/1.0{status}\r\n{lines}\r\n".encode()
            line = f"HMSG {subject} {sub.sid} {to}{len(head)} {len(head) + len(data)}\r\n".encode()
            frame = b"".join((line, head, data, b"\r\n"))
        else:
            frame = b"".join((f"MSG {subject} {sub.sid} {to}{len(data)}\r\n".encode(), data, b"\r\n"))
        self.trace.note(f"{link.process.name} << {subject} {headers.get(' ', '')} {_short(data)}")
        link.send(frame)
        if sub.left > 0:
            sub.left -= 1
            if sub.left == 0:
                self._unsubscribe(link, sub.sid)

    # --- Connections --------------------------------------------------------------------------------------------------

    def accept(self, link: Link) -> bool:
        if not self.up:
            return False
        self._subs[link] = {}
        link.send(b"INFO " + _INFO + b" \r\n")
        return True

    def closed(self, link: Link) -> None:
        self.trace.note(f"{link.process.name} is gone")
        for sid in tuple(self._subs.get(link, ())):
            self._unsubscribe(link, sid)
        self._subs.pop(link, None)

    def receive(self, link: Link, data: bytes) -> None:
        at = 0
        while at < len(data) and link in self._subs:
            end = data.index(b"\r\n", at)
            words = data[at:end].decode().split(" ")
            at = end + 2
            match words[0]:
                case "PUB" | "HPUB":
                    size = int(words[-1])
                    body = data[at : at + size]
                    at += size + 2
                    heads = int(words[-2]) if words[0] == "HPUB" else 0
                    self._publish(link, words[1], words[2], _headers(body[:heads]), body[heads:])
                case "SUB":
                    self._subscribe(_Sub(link, words[-1], words[1], words[2] if len(words) > 3 else ""))
                case "UNSUB":
                    self._ends(link, words[1], words[2] if len(words) > 2 else "")
                case "PING":
                    link.send(b"PONG\r\n")
                case "CONNECT" | "PONG":
                    pass
                case other:
                    raise NotImplementedError(f"the simulated server doesn't know {other}")

    def _subscribe(self, sub: _Sub) -> None:
        self._subs[sub.link][sub.sid] = sub
        self._place(sub).append(sub)

    def _place(self, sub: _Sub) -> list[_Sub]:
        head, _, last = sub.subject.rpartition(".")
        if "*" in head or ">" in head:
            raise NotImplementedError(f"a wildcard inside of a subject: {sub.subject}")
        return (self._patterns if last in ("*", ">") else self._exact)[sub.subject]

    def _ends(self, link: Link, sid: str, after: str) -> None:
        sub = self._subs[link].get(sid)
        if sub and after:
            sub.left = int(after)
        else:
            self._unsubscribe(link, sid)

    def _unsubscribe(self, link: Link, sid: str) -> None:
        sub = self._subs[link].pop(sid, None)
        if sub:
            place = self._place(sub)
            place.remove(sub)
            if not place:
                (self._exact if place is self._exact.get(sub.subject) else self._patterns).pop(sub.subject, None)

    # --- Messages -----------------------------------------------------------------------------------------------------

    def _publish(self, link: Link, subject: str, reply: str, headers: Headers, data: bytes) -> None:
        self.trace.note(f"{link.process.name} >> {subject} {_short(data)}")
        doom = self.dooms.get(link.process)
        if doom and subject.startswith(doom[0]):
            del self.dooms[link.process]
            if doom[1](link):
                return
        if subject.startswith("$JS."):
            if subject.startswith("$JS.ACK."):
                if self.loses("said", link):
                    self.trace.note(f"{link.process.name} >> LOST {subject}")
                    self.seen["lost said"] += 1
                else:
                    self._acknowledge(subject, data)
            elif not api.serve(self, subject[8:], reply, data) and reply:
                self.status(reply, 503, "")
            return
        heard = self._route(subject, reply, headers, data)
        stored = self._store(subject, reply, headers, data)
        if reply and not heard and not stored:
            self.status(reply, 503, "")

    def _route(self, subject: str, reply: str, headers: Headers, data: bytes) -> bool:
        heard = self.listens(subject)
        if heard:
            self._out("core", subject, subject, reply, headers, data)
        return heard

    def _store(self, subject: str, reply: str, headers: Headers, data: bytes) -> bool:
        stream = next((one for one in self.streams.values() if one.takes(subject)), None)
        if stream is None:
            return False
        try:
            message, duplicate = stream.store(subject, data, headers, self.now())
        except api.ApiError as error:
            self.seen[f"refused {error.body['err_code']}"] += 1
            answer = msgspec.json.encode({"error": error.body, "stream": stream.name, "seq": 0})
            self._out("ack", reply, reply, "", {}, answer)
            return True
        ack: dict[str, Any] = {"stream": stream.name, "seq": message.seq}
        if duplicate:
            self.seen["duplicate"] += 1
            ack["duplicate"] = True
        if reply:
            self._out("ack", reply, reply, "", {}, msgspec.json.encode(ack))
        if not duplicate:
            self.on_stored(stream.name, message)
            self._republish(stream, message.seq)
            for consumer in tuple(self.consumers[stream.name].values()):
                consumer.pump()
        return True

    def _republish(self, stream: Stream, seq: int) -> None:
        rule = stream.config.get("republish")
        if not rule:
            return
        message = stream.messages[seq]
        prefix, to = rule["src"].removesuffix(">"), rule["dest"].removesuffix(">")
        if message.subject.startswith(prefix):
            about = {"Nats-Stream": stream.name, "Nats-Subject": message.subject, "Nats-Sequence": str(seq)}
            subject = to + message.subject[len(prefix) :]
            self._route(subject, "", {**message.headers, **about}, message.data)

    def _acknowledge(self, subject: str, data: bytes) -> None:
        _, _, stream, name, _, seq, *_ = subject.split(".")
        consumer = self.consumers[stream].get(name)
        if consumer:
            consumer.acknowledge(int(seq), data)

    # --- What may happen to a server ----------------------------------------------------------------------------------

    def crash(self) -> None:
        """As by SIGKILL: connections break, what is in memory is lost. What was stored is there after `start`."""
        self.trace.note("nats-server is killed")
        self.up = False
        for link in tuple(self._subs):
            link.cut()
        for name, stream in tuple(self.streams.items()):
            if stream.config.get("storage") == "memory":
                for consumer in self.consumers.pop(name, {}).values():
                    consumer._stop()
                del self.streams[name]
                continue
            stream.restart()
            for consumer in tuple(self.consumers[name].values()):
                consumer.restart(self._draw.random())
                if consumer.config.get("mem_storage"):
                    consumer._stop()
                    del self.consumers[name][consumer.name]

    def start(self) -> None:
        self.trace.note("nats-server is up again")
        self.up = True


def _headers(raw: bytes) -> Headers:
    if not raw:
        return {}
    lines = raw.decode().split("\r\n")[1:]
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines if line)}


def _short(data: bytes) -> str:
    return data[:160].decode(errors="replace")
