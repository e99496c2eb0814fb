INSERT INTO voter_totals AS t
SELECT * FROM json_to_recordset(%(rows)s::json) AS n (
    voter_id text, panels bigint, passes bigint, fails bigint, abstentions bigint, judged bigint, agreed bigint,
    missing bigint, timeouts bigint, last_seen timestamptz
)
ON CONFLICT (voter_id) DO UPDATE
SET panels = t.panels + excluded.panels, passes = t.passes + excluded.passes, fails = t.fails + excluded.fails,
    abstentions = t.abstentions + excluded.abstentions, judged = t.judged + excluded.judged,
    agreed = t.agreed + excluded.agreed, missing = t.missing + excluded.missing,
    timeouts = t.timeouts + excluded.timeouts, last_seen = greatest(t.last_seen, excluded.last_seen)
