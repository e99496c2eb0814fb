CREATE OR REPLACE VIEW magi.voters AS
SELECT
    voter_id,
    d.kind,
    d.group_name AS "group",
    d.description,
    d.status,
    d.since AS status_since,
    coalesce(t.panels, 0) AS panels,
    coalesce(t.passes + t.fails + t.abstentions, 0) AS votes,
    coalesce(t.passes, 0) AS passes,
    coalesce(t.fails, 0) AS fails,
    coalesce(t.abstentions, 0) AS abstentions,
    t.passes::double precision / nullif(t.passes + t.fails, 0) AS pass_rate,
    t.agreed::double precision / nullif(t.judged, 0) AS agreement,
    coalesce(t.missing, 0) AS missing,
    coalesce(t.timeouts, 0) AS timeouts,
    l.p50_ms,
    l.p95_ms,
    t.last_seen
FROM directory_voters AS d
FULL JOIN voter_totals AS t USING (voter_id)
LEFT JOIN (
    SELECT
        voter_id,
        min(latency_ms) FILTER (WHERE up_to >= 0.50 * total) AS p50_ms,
        min(latency_ms) FILTER (WHERE up_to >= 0.95 * total) AS p95_ms
    FROM (
        SELECT
            voter_id,
            latency_ms,
            sum(votes) OVER (PARTITION BY voter_id ORDER BY latency_ms) AS up_to,
            sum(votes) OVER (PARTITION BY voter_id) AS total
        FROM voter_latencies
    ) AS cumulated
    GROUP BY voter_id
) AS l USING (voter_id);

COMMENT ON VIEW magi.voters IS 'One row a voter: what the directory says of it, and how it has voted.';
COMMENT ON COLUMN magi.voters.voter_id IS 'Its id.';
COMMENT ON COLUMN magi.voters.kind IS 'How it is reached: `builtin`, `nats`, `websocket`, `http`, `llm`, `command` or `person`; null when the directory doesn''t know it (yet).';
COMMENT ON COLUMN magi.voters."group" IS 'The group that panels are chosen from.';
COMMENT ON COLUMN magi.voters.description IS 'What it judges, in its owner''s words.';
COMMENT ON COLUMN magi.voters.status IS '`active`, `suspended` or `revoked`.';
COMMENT ON COLUMN magi.voters.status_since IS 'When it got that status.';
COMMENT ON COLUMN magi.voters.panels IS 'How many requests with a verdict it was on the panel of.';
COMMENT ON COLUMN magi.voters.votes IS 'How many votes of it were counted.';
COMMENT ON COLUMN magi.voters.passes IS 'Pass votes.';
COMMENT ON COLUMN magi.voters.fails IS 'Fail votes.';
COMMENT ON COLUMN magi.voters.abstentions IS 'Abstentions.';
COMMENT ON COLUMN magi.voters.pass_rate IS 'Pass votes over pass and fail votes, 0 to 1; null without any.';
COMMENT ON COLUMN magi.voters.agreement IS 'Of its pass and fail votes on requests with a verdict, the part that was the verdict, 0 to 1.';
COMMENT ON COLUMN magi.voters.missing IS 'How many verdicts were given without its vote, early ones included.';
COMMENT ON COLUMN magi.voters.timeouts IS 'Those of them that were given at the deadline.';
COMMENT ON COLUMN magi.voters.p50_ms IS 'Half of its votes came within so many milliseconds after reception; rounded down by at most 6 %.';
COMMENT ON COLUMN magi.voters.p95_ms IS '95 % of its votes came within so many milliseconds after reception; rounded down by at most 6 %.';
COMMENT ON COLUMN magi.voters.last_seen IS 'When it last reported progress or voted.';
