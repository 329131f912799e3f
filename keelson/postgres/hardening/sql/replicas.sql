SELECT s.usename, coalesce(s.application_name, ''), coalesce(host(s.client_addr), '') FROM pg_catalog.pg_stat_replication s
WHERE s.client_addr IS NOT NULL AND NOT s.client_addr <<= ANY (ARRAY['127.0.0.0/8', '::1/128']::inet[]) ORDER BY 1, 2
