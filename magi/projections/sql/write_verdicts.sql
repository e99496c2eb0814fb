-- Verdicts of requests that were received in an earlier batch.
UPDATE requests AS r
SET verdict = n.verdict, decided_at = n.decided_at, decided_by = n.decided_by, reason = n.reason,
    tally_pass = n.tally_pass, tally_fail = n.tally_fail, tally_abstain = n.tally_abstain,
    tally_missing = n.tally_missing, latency_ms = n.latency_ms, decided_seq = n.decided_seq
FROM json_to_recordset(%(rows)s::json) AS n (
    id uuid, verdict text, decided_at timestamptz, decided_by text, reason text, tally_pass integer,
    tally_fail integer, tally_abstain integer, tally_missing integer, latency_ms bigint, decided_seq bigint
)
WHERE r.id = n.id
