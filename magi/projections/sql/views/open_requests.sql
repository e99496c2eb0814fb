CREATE OR REPLACE VIEW magi.open_requests AS
SELECT
    r.initiator_id,
    r.request_id,
    r.initiator_id || '.' || r.id AS aggregate,
    r.received_at,
    r.deadline,
    (extract(epoch FROM r.deadline - now()) * 1000)::bigint AS time_left_ms,
    r.panel,
    ARRAY(
        SELECT voter_id
        FROM unnest(r.panel) WITH ORDINALITY AS p (voter_id, place)
        WHERE NOT EXISTS (SELECT FROM votes AS v WHERE v.id = r.id AND v.voter_id = p.voter_id)
        ORDER BY place
    ) AS outstanding,
    r.strategy
FROM requests AS r
WHERE r.verdict IS NULL;

COMMENT ON VIEW magi.open_requests IS 'One row a request without a verdict.';
COMMENT ON COLUMN magi.open_requests.initiator_id IS 'Who submitted it.';
COMMENT ON COLUMN magi.open_requests.request_id IS 'The Initiator''s own name for it.';
COMMENT ON COLUMN magi.open_requests.aggregate IS 'Its name in the log.';
COMMENT ON COLUMN magi.open_requests.received_at IS 'When it was accepted.';
COMMENT ON COLUMN magi.open_requests.deadline IS 'When it is decided at the latest.';
COMMENT ON COLUMN magi.open_requests.time_left_ms IS 'Milliseconds to the deadline; below 0 when it has passed.';
COMMENT ON COLUMN magi.open_requests.panel IS 'The voters that judge it.';
COMMENT ON COLUMN magi.open_requests.outstanding IS 'Those of them that have not voted.';
COMMENT ON COLUMN magi.open_requests.strategy IS 'The adjudication strategy.';
