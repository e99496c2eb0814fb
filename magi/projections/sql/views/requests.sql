CREATE OR REPLACE VIEW magi.requests AS
SELECT
    r.initiator_id,
    r.request_id,
    r.initiator_id || '.' || r.id AS aggregate,
    r.received_at,
    r.deadline,
    r.decided_at,
    r.panel,
    CASE
        WHEN r.verdict IS NULL THEN (SELECT count(*)::integer FROM votes AS v WHERE v.id = r.id)
        ELSE r.tally_pass + r.tally_fail + r.tally_abstain
    END AS votes,
    r.strategy,
    r.parameters,
    r.decide,
    r.verdict,
    r.decided_by,
    r.reason,
    r.tally_pass,
    r.tally_fail,
    r.tally_abstain,
    r.tally_missing,
    r.latency_ms,
    r.received_seq,
    r.decided_seq,
    c.user_query,
    c.agent_answer,
    c.metadata
FROM requests AS r
LEFT JOIN contents AS c ON c.id = r.id;

COMMENT ON VIEW magi.requests IS 'One row a request, from its reception on.';
COMMENT ON COLUMN magi.requests.initiator_id IS 'Who submitted it.';
COMMENT ON COLUMN magi.requests.request_id IS 'The Initiator''s own name for it, unique per Initiator.';
COMMENT ON COLUMN magi.requests.aggregate IS 'Its name in the log: the subject is magi.log. and this.';
COMMENT ON COLUMN magi.requests.received_at IS 'When it was accepted.';
COMMENT ON COLUMN magi.requests.deadline IS 'When it is decided at the latest.';
COMMENT ON COLUMN magi.requests.decided_at IS 'When the verdict was given; null while it is open.';
COMMENT ON COLUMN magi.requests.panel IS 'The voters that judge it, in the order of the panel.';
COMMENT ON COLUMN magi.requests.votes IS 'How many of them have voted.';
COMMENT ON COLUMN magi.requests.strategy IS 'The adjudication strategy.';
COMMENT ON COLUMN magi.requests.parameters IS 'The parameters of the strategy, as they were fitted to the panel.';
COMMENT ON COLUMN magi.requests.decide IS '`all`: when all votes are in; `early`: as soon as the rest can''t change the verdict.';
COMMENT ON COLUMN magi.requests.verdict IS '`pass` or `fail`; null while it is open.';
COMMENT ON COLUMN magi.requests.decided_by IS '`votes` (all were in), `early` or `deadline`.';
COMMENT ON COLUMN magi.requests.reason IS 'Why, in one word: `majority`, `tie`, `quorum`, `veto`, `threshold` …';
COMMENT ON COLUMN magi.requests.tally_pass IS 'How many of the panel voted pass.';
COMMENT ON COLUMN magi.requests.tally_fail IS 'How many voted fail.';
COMMENT ON COLUMN magi.requests.tally_abstain IS 'How many abstained.';
COMMENT ON COLUMN magi.requests.tally_missing IS 'How many gave no vote until the verdict.';
COMMENT ON COLUMN magi.requests.latency_ms IS 'Milliseconds from reception to the verdict.';
COMMENT ON COLUMN magi.requests.received_seq IS 'The sequence in the log of the message that holds the event `received`.';
COMMENT ON COLUMN magi.requests.decided_seq IS 'The sequence in the log of the message that holds the event `adjudicated`; null while it is open.';
COMMENT ON COLUMN magi.requests.user_query IS 'The question; null unless the setting `projections.content` was on when the tables were built.';
COMMENT ON COLUMN magi.requests.agent_answer IS 'The answer that is judged; null like `user_query`.';
COMMENT ON COLUMN magi.requests.metadata IS 'What the Initiator said besides; null like `user_query`.';
