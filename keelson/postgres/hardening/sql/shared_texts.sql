SELECT 'the comment on ' || pg_catalog.pg_describe_object(c.classoid, c.objoid, 0), c.description
FROM pg_catalog.pg_shdescription c
