-- One version of the tables, in the schema that the search path names first. Change them and raise LAYOUT (layout.py).
CREATE TABLE positions (
    projection text PRIMARY KEY,
    identity text NOT NULL,
    sequence bigint NOT NULL,
    digest text NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE requests (
    id uuid PRIMARY KEY,
    initiator_id text NOT NULL,
    request_id text NOT NULL,
    received_at timestamptz NOT NULL,
    deadline timestamptz NOT NULL,
    panel text[] NOT NULL,
    strategy text NOT NULL,
    parameters jsonb NOT NULL,
    decide text NOT NULL,
    received_seq bigint NOT NULL,
    verdict text,
    decided_at timestamptz,
    decided_by text,
    reason text,
    tally_pass integer,
    tally_fail integer,
    tally_abstain integer,
    tally_missing integer,
    latency_ms bigint,
    decided_seq bigint
);

CREATE TABLE contents (
    id uuid PRIMARY KEY,
    user_query text NOT NULL,
    agent_answer text NOT NULL,
    metadata jsonb NOT NULL
);

CREATE TABLE votes (
    id uuid NOT NULL,
    voter_id text NOT NULL,
    vote text NOT NULL,
    voted_at timestamptz NOT NULL,
    latency_ms bigint NOT NULL,
    confidence double precision,
    reason text,
    seq bigint NOT NULL,
    PRIMARY KEY (id, voter_id)
);

-- Sums that are kept up to date instead of being counted at every question: a million requests are three million votes.
CREATE TABLE voter_totals (
    voter_id text PRIMARY KEY,
    panels bigint NOT NULL,
    passes bigint NOT NULL,
    fails bigint NOT NULL,
    abstentions bigint NOT NULL,
    judged bigint NOT NULL,
    agreed bigint NOT NULL,
    missing bigint NOT NULL,
    timeouts bigint NOT NULL,
    last_seen timestamptz
);

CREATE TABLE voter_latencies (
    voter_id text NOT NULL,
    latency_ms bigint NOT NULL,
    votes bigint NOT NULL,
    PRIMARY KEY (voter_id, latency_ms)
);

CREATE TABLE verdict_hours (
    hour timestamptz NOT NULL,
    strategy text NOT NULL,
    verdict text NOT NULL,
    decided_by text NOT NULL,
    requests bigint NOT NULL,
    missing bigint NOT NULL,
    latency_ms_sum bigint NOT NULL,
    latency_ms_max bigint NOT NULL,
    PRIMARY KEY (hour, strategy, verdict, decided_by)
);

CREATE TABLE directory_voters (
    voter_id text PRIMARY KEY,
    version bigint NOT NULL,
    kind text NOT NULL,
    description text NOT NULL,
    group_name text NOT NULL,
    public_key text NOT NULL,
    status text NOT NULL,
    since timestamptz NOT NULL,
    reason text NOT NULL
);
