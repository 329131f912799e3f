CREATE SCHEMA IF NOT EXISTS keelson;
REVOKE ALL ON SCHEMA keelson FROM PUBLIC;
CREATE TABLE IF NOT EXISTS keelson.ownership (
    kind     text        NOT NULL CHECK (kind IN ('role', 'database')),
    name     text        NOT NULL,
    oid      oid,        -- empty: about to be made
    stack_id text        NOT NULL,
    service  text        NOT NULL,
    since    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (kind, name)
);
REVOKE CONNECT, TEMPORARY ON DATABASE postgres, template1 FROM PUBLIC;
-- CloudNativePG's own logins, where it keeps the server: a former primary asks there for the new one, an exporter reads there.
DO $$
DECLARE
    login text;
BEGIN
    FOR login IN SELECT rolname FROM pg_roles WHERE rolname IN ('streaming_replica', 'cnpg_metrics_exporter') LOOP
        EXECUTE format('GRANT CONNECT ON DATABASE postgres TO %I', login);
    END LOOP;
END $$;
