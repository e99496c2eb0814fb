CREATE OR REPLACE VIEW magi.votes AS
SELECT
    r.initiator_id,
    r.request_id,
    r.initiator_id || '.' || r.id AS aggregate,
    v.voter_id,
    v.vote,
    v.reason,
    v.confidence,
    v.voted_at,
    v.latency_ms,
    r.verdict,
    v.seq
FROM votes AS v
JOIN requests AS r ON r.id = v.id;

COMMENT ON VIEW magi.votes IS 'One row a vote that was counted.';
COMMENT ON COLUMN magi.votes.initiator_id IS 'Who submitted the request.';
COMMENT ON COLUMN magi.votes.request_id IS 'The Initiator''s own name for the request.';
COMMENT ON COLUMN magi.votes.aggregate IS 'The request''s name in the log.';
COMMENT ON COLUMN magi.votes.voter_id IS 'Who voted.';
COMMENT ON COLUMN magi.votes.vote IS '`pass`, `fail` or `abstain`.';
COMMENT ON COLUMN magi.votes.reason IS 'Why, in the voter''s words; null when it gave none.';
COMMENT ON COLUMN magi.votes.confidence IS 'How sure the voter is, 0 to 1; null when it didn''t say.';
COMMENT ON COLUMN magi.votes.voted_at IS 'When the vote was counted.';
COMMENT ON COLUMN magi.votes.latency_ms IS 'Milliseconds from the reception of the request to the vote.';
COMMENT ON COLUMN magi.votes.verdict IS 'The request''s verdict; null while it is open.';
COMMENT ON COLUMN magi.votes.seq IS 'The sequence in the log of the message that holds the event `voter_result`; those that were stored with it have it too.';
