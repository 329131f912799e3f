-- Who changed which row: entries in sixteen lanes, each chained by its hashes, and apart from them the values, which can be
-- erased without breaking a chain (docs/audit.md).

CREATE SCHEMA audit;

CREATE TABLE audit.entries (
    lane        SMALLINT NOT NULL,
    number      BIGINT NOT NULL,
    at          TIMESTAMPTZ NOT NULL,
    transaction BIGINT NOT NULL,
    login       TEXT NOT NULL,
    actor       TEXT,
    relation    TEXT NOT NULL,
    operation   TEXT NOT NULL,
    row_key     JSONB,
    changed     TEXT[],
    digest      BYTEA NOT NULL,
    previous    BYTEA NOT NULL,
    hash        BYTEA NOT NULL,
    PRIMARY KEY (lane, number)
);

CREATE TABLE audit.details (
    lane   SMALLINT NOT NULL,
    number BIGINT NOT NULL,
    person TEXT NOT NULL,
    salt   BYTEA NOT NULL,
    old    JSONB,
    new    JSONB,
    PRIMARY KEY (lane, number)
);

CREATE INDEX idx_entries_time ON audit.entries (at);
CREATE INDEX idx_details_person ON audit.details (person);

-- Arguments: the columns of the key, the columns whose values are not kept, and whose the row is: a column, or a column,
-- a table, the column of it that the first refers to, and the one that holds the person.
CREATE FUNCTION audit.record() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    lanes   CONSTANT integer := 16;
    class   CONSTANT integer := 1635083369;
    old_row jsonb := to_jsonb(OLD);
    new_row jsonb := to_jsonb(NEW);
    person  text;
    salt    bytea := uuid_send(gen_random_uuid());
    entry   audit.entries;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        SELECT array_agg(key ORDER BY key) INTO entry.changed FROM jsonb_each(new_row) WHERE value IS DISTINCT FROM old_row -> key;
        IF entry.changed IS NULL THEN
            RETURN NULL;
        END IF;
    END IF;

    -- The first lane that nobody writes to; where all are taken, wait for one.
    FOR step IN 0 .. lanes - 1 LOOP
        entry.lane := (pg_backend_pid() + step) % lanes;
        EXIT WHEN pg_try_advisory_xact_lock(class, entry.lane);
        IF step = lanes - 1 THEN
            PERFORM pg_advisory_xact_lock(class, entry.lane);
        END IF;
    END LOOP;
    SELECT number, hash INTO entry.number, entry.previous FROM audit.entries WHERE lane = entry.lane ORDER BY number DESC LIMIT 1;

    entry.number := COALESCE(entry.number, 0) + 1;
    entry.previous := COALESCE(entry.previous, '');
    entry.at := clock_timestamp();
    entry.transaction := pg_current_xact_id()::text::bigint;
    entry.login := session_user;
    entry.actor := NULLIF(current_setting('app.current_user_id', true), '');
    entry.relation := format('%s.%s', TG_TABLE_SCHEMA, TG_TABLE_NAME);
    entry.operation := lower(TG_OP);

    IF TG_LEVEL = 'ROW' THEN
        SELECT jsonb_object_agg(key, COALESCE(new_row, old_row) -> key) INTO entry.row_key FROM unnest(string_to_array(TG_ARGV[0], ',')) AS key;
        person := COALESCE(old_row, new_row) ->> TG_ARGV[2];
        IF TG_NARGS > 3 THEN
            EXECUTE format('SELECT %I::text FROM %s WHERE %I = %L', TG_ARGV[5], TG_ARGV[3]::regclass, TG_ARGV[4], person) INTO person;
        END IF;
        person := COALESCE(person, entry.actor);
        IF TG_OP = 'UPDATE' THEN
            SELECT jsonb_object_agg(key, old_row -> key), jsonb_object_agg(key, new_row -> key) INTO old_row, new_row FROM unnest(entry.changed) AS key;
        END IF;
        old_row := old_row - string_to_array(TG_ARGV[1], ',');
        new_row := new_row - string_to_array(TG_ARGV[1], ',');
    END IF;

    entry.digest := sha256(salt || convert_to(jsonb_build_array(old_row, new_row)::text, 'UTF8'));
    entry.hash := sha256(convert_to(jsonb_build_array(
        entry.lane, entry.number, to_char(entry.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), entry.transaction, entry.login,
        entry.actor, entry.relation, entry.operation, entry.row_key, entry.changed, encode(entry.digest, 'hex'), encode(entry.previous, 'hex')
    )::text, 'UTF8'));
    IF current_setting('transaction_isolation') = 'read committed' THEN
        INSERT INTO audit.entries SELECT entry.*;
    ELSE
        -- The end of the lane may be one that this transaction cannot see: the application is to try again.
        BEGIN
            INSERT INTO audit.entries SELECT entry.*;
        EXCEPTION WHEN unique_violation THEN
            RAISE serialization_failure USING MESSAGE = 'could not serialize access to the audit trail, which another transaction has written to';
        END;
    END IF;
    IF person IS NOT NULL THEN
        INSERT INTO audit.details VALUES (entry.lane, entry.number, person, salt, old_row, new_row);
    END IF;
    RETURN NULL;
END
$$;

REVOKE ALL ON SCHEMA audit FROM PUBLIC, portfolio_app, portfolio_readonly;
REVOKE ALL ON audit.entries, audit.details FROM PUBLIC, portfolio_app, portfolio_readonly;
REVOKE ALL ON FUNCTION audit.record() FROM PUBLIC, portfolio_app, portfolio_readonly;

CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON portfolios
    FOR EACH ROW EXECUTE FUNCTION audit.record('id', '', 'user_id');
CREATE TRIGGER audit_truncate AFTER TRUNCATE ON portfolios
    FOR EACH STATEMENT EXECUTE FUNCTION audit.record();
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON holdings
    FOR EACH ROW EXECUTE FUNCTION audit.record('id', '', 'portfolio_id', 'public.portfolios', 'id', 'user_id');
CREATE TRIGGER audit_truncate AFTER TRUNCATE ON holdings
    FOR EACH STATEMENT EXECUTE FUNCTION audit.record();
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON transactions
    FOR EACH ROW EXECUTE FUNCTION audit.record('id', '', 'portfolio_id', 'public.portfolios', 'id', 'user_id');
CREATE TRIGGER audit_truncate AFTER TRUNCATE ON transactions
    FOR EACH STATEMENT EXECUTE FUNCTION audit.record();

COMMENT ON SCHEMA audit IS 'The audit trail: written by triggers, read by the owner, changed by nobody';
COMMENT ON TABLE audit.entries IS 'Who changed which row, and when; each entry has the hash of the one before it in its lane';
COMMENT ON COLUMN audit.entries.actor IS 'The user that the application worked for: the setting app.current_user_id';
COMMENT ON COLUMN audit.entries.digest IS 'SHA-256 of salt and values, which stand in details until they are erased';
COMMENT ON TABLE audit.details IS 'What was in a row before and after; a person''s are erased with the person';
