CREATE TABLE IF NOT EXISTS public.schema_versions (
    version     bigint      PRIMARY KEY,
    applied_at  timestamptz NOT NULL DEFAULT now(),
    description text        NOT NULL DEFAULT ''
);
-- A table of these three columns may be there from other tools; its rows then have no file.
ALTER TABLE public.schema_versions
    ADD COLUMN IF NOT EXISTS file       text UNIQUE,
    ADD COLUMN IF NOT EXISTS checksum   text,
    ADD COLUMN IF NOT EXISTS duration   interval,
    ADD COLUMN IF NOT EXISTS applied_by text,
    ADD COLUMN IF NOT EXISTS outcome    text,
    ADD COLUMN IF NOT EXISTS undo       text;
COMMENT ON TABLE public.schema_versions IS 'Migrations that were applied; written by Keelson';
GRANT SELECT ON public.schema_versions TO SESSION_USER;
