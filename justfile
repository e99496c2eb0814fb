# The project's verbs. `just` lists them; each runs in the project's environment: `uv run just VERB`.

default:
    @just --list --unsorted

# In CI a test that fails gets two more tries and is listed (docs/decisions/0005).
reruns := if env("CI", "") == "" { "" } else { "--reruns 2 -r R" }

# run all tests, against real servers, in parallel; or some: just test tests/domain -n 0
test *args:
    python -m pytest -n auto --dist worksteal {{reruns}} {{args}}

# everything that CI checks besides the tests
check: format-check lint types imports docs

# format the code
format:
    ruff format .

[private]
format-check:
    ruff format --check .

# look for mistakes
lint:
    ruff check .

# check the types, strictly
types:
    mypy

# check that layers only import downwards
imports:
    lint-imports

# run the examples in README and docs/
docs:
    python -m pytest tests/docs

# judge the real examples, live
demo:
    magi demo

# measure MAGI beside a bare pipeline, eventsourcing, FastStream, Celery and DBOS (ten minutes; a look: just bench --quick)
bench *args:
    uv run --group bench python -m bench.side_by_side {{args}}

# what a request costs as MAGI grows: just bench-growth [stored|open|timers|payloads|panels|voters|processes] [--short]
bench-growth *args:
    python -m bench.growth {{args}}

# kill, pause and cut off processes under load: just chaos [processes|cluster|power-cut] [--minutes M] [--seed N]
chaos *args:
    python -m tests.chaos {{args}}

# run MAGI in virtual time under faults: just simulate --seeds 10000, or one to read: just simulate --seed N
simulate *args:
    python -m tests.simulation {{args}}

# send the gateway nonsense for longer than CI does: just fuzz 60, seconds for each of the fuzzers
fuzz seconds="60":
    MAGI_TEST_FUZZ_SECONDS={{seconds}} python -m pytest tests/gateway/fuzz --timeout 36000

# a night on call in a quarter of an hour: incidents under load, the alerts and pictures of each
night *args:
    python -m tests.chaos.night {{args}}
