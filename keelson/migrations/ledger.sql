CREATE TABLE IF NOT EXISTS public.schema_versions (
    version     bigint      PRIMARY KEY,
    applied_at  timestamptz NOT NULL DEFAULT now(),
    description text        NOT NULL DEFAULT ''
);
-- A table of these three columns may be there from other tools; its rows then have no file.
ALTER TABLE public.schema_versions
    ADD COLUMN IF NOT EXISTS file          text UNIQUE,
    ADD COLUMN IF NOT EXISTS checksum      text,
    ADD COLUMN IF NOT EXISTS duration      interval,
    ADD COLUMN IF NOT EXISTS applied_by    text,
    ADD COLUMN IF NOT EXISTS outcome       text,
    ADD COLUMN IF NOT EXISTS undo          text,
    ADD COLUMN IF NOT EXISTS text_checksum text;
COMMENT ON TABLE public.schema_versions IS 'Migrations that were applied; written by Keelson';

-- The statements of a file that runs without a transaction, until all of them are done.
CREATE TABLE IF NOT EXISTS public.schema_steps (
    file       text        NOT NULL,
    step       integer     NOT NULL,
    checksum   text        NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at   timestamptz,
    PRIMARY KEY (file, step)
);
COMMENT ON TABLE public.schema_steps IS 'How far a migration without a transaction has come; written by Keelson';

CREATE TABLE IF NOT EXISTS public.schema_history (
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    who     text        NOT NULL,
    action  text        NOT NULL,
    file    text,
    reason  text,
    detail  text
);
COMMENT ON TABLE public.schema_history IS 'What was done to schema_versions beside applying files; written by Keelson';
GRANT SELECT ON public.schema_versions, public.schema_steps, public.schema_history TO SESSION_USER;
