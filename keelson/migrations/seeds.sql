CREATE TABLE IF NOT EXISTS public.schema_seeds (
    file       text        PRIMARY KEY,
    checksum   text        NOT NULL,
    applied_at timestamptz NOT NULL,
    duration   interval    NOT NULL,
    applied_by text        NOT NULL
);
COMMENT ON TABLE public.schema_seeds IS 'Seeds that were loaded; written by Keelson';
GRANT SELECT ON public.schema_seeds TO SESSION_USER;
