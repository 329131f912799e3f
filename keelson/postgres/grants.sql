-- What the application and the readers may do in one service's database. Run as the owner or the administrator.
-- Objects that the owner makes get their grants from the default privileges. Here those are treated that have none:
-- made by another role, or before the default privileges were. What a migration has revoked stays revoked.
DO $$
DECLARE
    owner_role    constant name := current_setting('keelson.service') || '_owner';
    migrator_role constant name := current_setting('keelson.service') || '_migrator';
    app_role      constant name := current_setting('keelson.service') || '_app';
    readonly_role constant name := current_setting('keelson.service') || '_readonly';
    object        record;
BEGIN
    FOR object IN
        SELECT n.oid, n.nspname FROM pg_namespace n
        WHERE n.nspname !~ '^(pg_|information_schema$|_?timescaledb|keelson$)'
          AND pg_has_role(current_user, n.nspowner, 'USAGE')
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_namespace'::regclass AND d.objid = n.oid AND d.deptype = 'e')
          AND (n.nspacl IS NULL OR n.nspowner <> owner_role::regrole)
          AND NOT (has_schema_privilege(app_role, n.oid, 'USAGE') AND has_schema_privilege(readonly_role, n.oid, 'USAGE'))
    LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I, %I', object.nspname, app_role, readonly_role);
    END LOOP;

    FOR object IN
        SELECT c.oid::regclass AS name, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname !~ '^(pg_|information_schema$|_?timescaledb|keelson$)'
          AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
          AND pg_has_role(current_user, c.relowner, 'USAGE')
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
          AND (c.relacl IS NULL OR c.relowner <> owner_role::regrole)
    LOOP
        IF object.relkind = 'S' THEN
            EXECUTE format('GRANT USAGE, SELECT ON SEQUENCE %s TO %I', object.name, app_role);
            EXECUTE format('GRANT SELECT ON SEQUENCE %s TO %I', object.name, readonly_role);
        ELSE
            EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %I', object.name, app_role);
            EXECUTE format('GRANT SELECT ON %s TO %I', object.name, readonly_role);
        END IF;
    END LOOP;

    FOR object IN
        SELECT c.oid::regclass AS name FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relname IN ('schema_versions', 'schema_seeds', 'schema_steps', 'schema_history')
          AND pg_has_role(current_user, c.relowner, 'USAGE')
          AND (has_table_privilege(app_role, c.oid, 'INSERT, UPDATE, DELETE')
               OR NOT has_table_privilege(migrator_role, c.oid, 'SELECT'))
    LOOP
        EXECUTE format('REVOKE INSERT, UPDATE, DELETE ON %s FROM %I', object.name, app_role);
        EXECUTE format('GRANT SELECT ON %s TO %I', object.name, migrator_role);
    END LOOP;
END
$$;
