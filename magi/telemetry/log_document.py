"""Prints docs/logs.md: ``python -m magi.telemetry.log_document > docs/logs.md``."""

# ruff: noqa: E501 - lines of a log, and commands, are as long as they are

import sys
from collections.abc import Iterable, Iterator

from magi.telemetry.steps import AROUND, FLOW, SERVERS, Step

_HEAD = """\
# Logs

Every part writes its log to stderr, an event a line: JSON where it isn't a terminal, else columns for people. Under
`magi serve` the parts' logs are files, `DATA/logs/gateway.log` and so on, and its own goes to its stderr: on a terminal
from `warning` on, as long as nobody has set the level. A file of more than 10 MiB becomes `gateway.log.old`, which
replaces the one before.

| setting | |
|---|---|
| `log.level` | `debug`, `info`, `warning` or `error`: what is written, from this level on |
| `log.parts` | levels of single parts, such as `gateway=debug,voters=warning` in `MAGI_LOG_PARTS` |
| `log.format` | `json`, `console`, or `auto`: by whether it is a terminal |

A running part changes over to `debug` on SIGUSR1, and back on another one; it says so by `log_level_changed`:

```sh
kill -USR1 "$(jq .pid .magi/run/orchestrator.json)"
```

(Not to a whole systemd unit: nats-server and Postgres have a use of their own for this signal.)

```json
{"timestamp":"2026-11-22T23:06:04.315425Z","level":"info","event":"adjudicated","part":"orchestrator","request":"local.73ef203a-5da4-55bd-b0b8-860f235fc107","request_id":"req-1","initiator_id":"local","verdict":"pass","decided_by":"votes","strategy":"minority_rule","reason":"majority","votes":3,"latency_ms":38}
{"timestamp":"2026-11-22T23:06:13.706397Z","level":"info","event":"directory_changed","part":"gateway","change":"voter_suspended","about":"voter.casper","by":"alice@ops-1","why":"looked odd","sequence":6}
```

Each line has `timestamp` (UTC), `level`, `event` (what happened; always one of a fixed set of words), `part`, and the
fields of its event; those that are empty are left out. At `info` a request leaves two lines,
`submission_acknowledged` and `adjudicated`; a connection two, an administrative change one in each part, and what is
refused one. At `debug` a request of three voters leaves 26.

## What is never in a log

- **No content**: no question, no answer, no metadata, no voter's reason, whatever is wrong with them. A refused
  message is logged by the code of its error. Of an exception there are the lines of the source that it came through;
  what it says is kept of the errors of MAGI itself, of NATS and of the operating system, and left out of all others,
  since a `ValueError` quotes the value. Lines of libraries (`library`) keep the pattern of their message, and not
  what was filled in.
- **No secrets**: no token, key, seed or password. Tokens are named by their ids.
- **No forged lines**: ids are others' words. In JSON they are strings; on a terminal a line end is `\\n`, and what
  could steer it is an escape.
- **No line of more than about 4,000 bytes**, so that the lines of several processes in one pipe don't mix.

A log that can't be written, on a full disk or because its reader has gone, stops nothing: the line is lost.

## Following one request

`request_id` is the Initiator's own name of it, `request` the one that the log, tasks and `magi history` go by,
`trace_id` that of its trace.

```sh
logs() { cat .magi/logs/gateway.log .magi/logs/orchestrator.log .magi/logs/voters.log; }
logs | jq -s -c 'map(select(.request_id == "req-1")) | sort_by(.timestamp)[] | [.timestamp, .part, .event, .voter_id, .vote, .code]'
logs | jq -c 'select(.trace_id == "0af7651916cd43dd8448eb211c80319c")'
logs | jq -r 'select(.event == "adjudicated") | .latency_ms' | sort -n | tail -1
logs | jq -r 'select(.event == "submission_refused") | .code' | sort | uniq -c
```

Lines that are no JSON are what a program said before its log was set up, or why it could not start: `magi: …`; skip
them with `jq -R 'fromjson?'`.

## Where they go

systemd takes stderr as it is: `journalctl -u magi-gateway -o cat | jq -c 'select(.level == "error")'`. For Loki,
Promtail or Grafana Alloy read the journal or the files; `part`, `level` and `event` make good labels, since each has
few values. `request_id` and `initiator_id` don't: leave them in the line.

```yaml
pipeline_stages:
  - json: {expressions: {part: part, level: level, event: event, timestamp: timestamp}}
  - labels: {part: "", level: "", event: ""}
  - timestamp: {source: timestamp, format: RFC3339Nano}
```

## What it costs

`python -m bench.log_lines` measures it: 15 µs of CPU for a line that is written, 2 µs for one that isn't (two cores,
busy with other things). At `info` that is 0.08 ms of the about 3 ms that a request of three voters takes in all parts
together (3 %), at `debug` 0.4 ms.

## Administrative actions

Every change of a voter, a panel, an Initiator or a token is an event in the directory's stream, which nobody can
edit: who (`user@host`), when, what, why. So is what the orchestrators do by themselves, suspensions for not
answering, and what operators do besides: `magi streams apply`, `magi projections rebuild`, `switch`, `drop` and
`skip`, and changes that were refused. One view of it all:

```sh
magi audit log --since 7d
magi audit log --about voter.casper
magi audit log --by alice --json | jq -r .what
magi audit log --follow
```

A line has when it was, what it was about, what was done, by whom, and why; `(automatic)` marks what nobody asked for,
and `refused` what was asked for and not done. With `--json` it is an object a line: `at`, `by`, `automatic`, `about`,
`change`, `what`, `why`, `outcome`, `sequence`. `magi audit verify` proves that none was changed or taken out.

Besides, each running part logs `directory_changed` when it has taken over a change. What is not there: commands that
touch no running system (`magi certs`, `magi nats config`), and what NATS itself refuses somebody, which stands in
nats-server's log. A command that can't reach the directory after it has acted on Postgres says that its action is not
on record.
"""


def document() -> str:
    """The page."""
    return _HEAD + "".join(_sections())


def _sections() -> Iterator[str]:
    yield "\n## The lines of a request\n\n"
    yield from _table(FLOW)
    yield "\n## Around it\n\n"
    yield from _table(AROUND)
    yield "\n## Servers and parts that `magi serve` keeps running\n\n"
    yield from _table(SERVERS)
    yield (
        "\nAll other events are about a part's own state or about something that went wrong, and come from `warning` on"
        " when somebody should look.\n\n"
        "This page is printed from `magi/telemetry/steps.py` (`python -m magi.telemetry.log_document`). A test holds the"
        " lines of a running system against it.\n"
    )


def _table(steps: Iterable[Step]) -> Iterator[str]:
    yield "| event | level | part | one for each | fields | |\n|---|---|---|---|---|---|\n"
    for step in steps:
        parts = ", ".join(step.parts)
        fields = " ".join(f"`{'trace_id' if name == 'trace' else name}`" for name in step.fields)
        yield f"| `{step.name}` | {step.level} | {parts} | {step.each} | {fields} | {step.meaning} |\n"


if __name__ == "__main__":
    sys.stdout.write(document())
