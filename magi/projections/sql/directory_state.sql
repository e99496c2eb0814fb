SELECT voter_id, version, kind, description, group_name, public_key, status, since, reason FROM directory_voters
