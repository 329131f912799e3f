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
