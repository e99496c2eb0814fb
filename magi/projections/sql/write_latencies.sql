INSERT INTO voter_latencies AS l
SELECT * FROM json_to_recordset(%(rows)s::json) AS n (voter_id text, latency_ms bigint, votes bigint)
ON CONFLICT (voter_id, latency_ms) DO UPDATE SET votes = l.votes + excluded.votes
