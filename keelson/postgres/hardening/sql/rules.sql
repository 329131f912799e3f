-- The number of a rule, which files that are included have in common, is there since PostgreSQL 16.
SELECT line_number, type, database, user_name, coalesce(address, ''), coalesce(netmask, ''), coalesce(auth_method, ''), coalesce(error, '')
FROM pg_catalog.pg_hba_file_rules r ORDER BY (to_jsonb(r) ->> 'rule_number')::int NULLS LAST, line_number
