-- Which settings of logins are not, in their databases, what {database: {login: {name: value}}} says.
WITH wanted AS (
    SELECT d.key AS database, l.key AS login, s.key AS name,
        CASE jsonb_typeof(s.value)
            WHEN 'array' THEN (
                SELECT coalesce(string_agg(quote_ident(u.item), ', ' ORDER BY u.place), '')
                FROM jsonb_array_elements_text(s.value) WITH ORDINALITY AS u(item, place))
            ELSE s.value #>> '{}'
        END AS value
    FROM jsonb_each(%s::jsonb) d, jsonb_each(d.value) l, jsonb_each(l.value) s
), found AS (
    SELECT d.datname AS database, r.rolname AS login, split_part(c, '=', 1) AS name, substr(c, strpos(c, '=') + 1) AS value
    FROM pg_catalog.pg_db_role_setting s
    JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase JOIN pg_catalog.pg_roles r ON r.oid = s.setrole,
        unnest(s.setconfig) c
)
SELECT w.database, w.login, w.name FROM wanted w LEFT JOIN found f USING (database, login, name)
WHERE f.value IS DISTINCT FROM w.value
ORDER BY 1, 2, 3
