INSERT INTO directory_voters AS v
SELECT * FROM json_to_recordset(%(rows)s::json) AS n (
    voter_id text, version bigint, kind text, description text, group_name text, public_key text, status text,
    since timestamptz, reason text
)
ON CONFLICT (voter_id) DO UPDATE
SET version = excluded.version, kind = excluded.kind, description = excluded.description,
    group_name = excluded.group_name, public_key = excluded.public_key, status = excluded.status,
    since = excluded.since, reason = excluded.reason
