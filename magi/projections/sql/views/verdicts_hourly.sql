CREATE OR REPLACE VIEW magi.verdicts_hourly AS
SELECT
    hour,
    strategy,
    sum(requests)::bigint AS verdicts,
    coalesce(sum(requests) FILTER (WHERE verdict = 'pass'), 0)::bigint AS passed,
    coalesce(sum(requests) FILTER (WHERE verdict = 'fail'), 0)::bigint AS failed,
    coalesce(sum(requests) FILTER (WHERE verdict = 'pass'), 0)::double precision / sum(requests) AS pass_rate,
    coalesce(sum(requests) FILTER (WHERE decided_by = 'votes'), 0)::bigint AS by_votes,
    coalesce(sum(requests) FILTER (WHERE decided_by = 'early'), 0)::bigint AS early,
    coalesce(sum(requests) FILTER (WHERE decided_by = 'deadline'), 0)::bigint AS at_deadline,
    sum(missing)::bigint AS missing,
    sum(latency_ms_sum)::double precision / sum(requests) AS mean_latency_ms,
    max(latency_ms_max) AS max_latency_ms
FROM verdict_hours
GROUP BY hour, strategy;

COMMENT ON VIEW magi.verdicts_hourly IS 'One row an hour (UTC) and strategy in which there were verdicts.';
COMMENT ON COLUMN magi.verdicts_hourly.hour IS 'The hour''s beginning.';
COMMENT ON COLUMN magi.verdicts_hourly.strategy IS 'The adjudication strategy.';
COMMENT ON COLUMN magi.verdicts_hourly.verdicts IS 'Verdicts given in the hour.';
COMMENT ON COLUMN magi.verdicts_hourly.passed IS 'Those that were `pass`.';
COMMENT ON COLUMN magi.verdicts_hourly.failed IS 'Those that were `fail`.';
COMMENT ON COLUMN magi.verdicts_hourly.pass_rate IS '`passed` over `verdicts`, 0 to 1.';
COMMENT ON COLUMN magi.verdicts_hourly.by_votes IS 'Given when all votes were in.';
COMMENT ON COLUMN magi.verdicts_hourly.early IS 'Given before, since the rest could not change them.';
COMMENT ON COLUMN magi.verdicts_hourly.at_deadline IS 'Given at the deadline.';
COMMENT ON COLUMN magi.verdicts_hourly.missing IS 'Votes that were missing at these verdicts.';
COMMENT ON COLUMN magi.verdicts_hourly.mean_latency_ms IS 'Mean milliseconds from reception to verdict.';
COMMENT ON COLUMN magi.verdicts_hourly.max_latency_ms IS 'The longest of them.';
