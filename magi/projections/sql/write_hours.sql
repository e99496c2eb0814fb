INSERT INTO verdict_hours AS h
SELECT * FROM json_to_recordset(%(rows)s::json) AS n (
    hour timestamptz, strategy text, verdict text, decided_by text, requests bigint, missing bigint,
    latency_ms_sum bigint, latency_ms_max bigint
)
ON CONFLICT (hour, strategy, verdict, decided_by) DO UPDATE
SET requests = h.requests + excluded.requests, missing = h.missing + excluded.missing,
    latency_ms_sum = h.latency_ms_sum + excluded.latency_ms_sum,
    latency_ms_max = greatest(h.latency_ms_max, excluded.latency_ms_max)
