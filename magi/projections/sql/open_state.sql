-- What the fold remembers of a request until its verdict.
SELECT
    r.id::text,
    round(extract(epoch FROM r.received_at) * 1000)::bigint,
    r.panel,
    coalesce((SELECT array_agg(v.voter_id) FROM votes AS v WHERE v.id = r.id), '{}')
FROM requests AS r
WHERE r.verdict IS NULL
