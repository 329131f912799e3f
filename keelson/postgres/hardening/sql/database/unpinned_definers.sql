SELECT p.oid::regprocedure::text AS object, 'runs as ' || quote_ident(p.proowner::regrole::name) || ' with the search_path of its caller' AS what
FROM routines p
WHERE p.prosecdef AND NOT EXISTS (SELECT FROM unnest(p.proconfig) c WHERE c ~ '^search_path=')
