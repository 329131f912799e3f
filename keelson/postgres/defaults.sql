-- Who may do what in a service's database, now and with all that the owner makes later. Run by the administrator;
-- {owner}, {migrator}, {app} and {readonly} are the service's roles.
ALTER SCHEMA public OWNER TO {owner};
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO {migrator}, {app}, {readonly};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner}, {migrator} GRANT USAGE ON SCHEMAS TO {app}, {readonly};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner}, {migrator} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {app};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner}, {migrator} GRANT SELECT ON TABLES TO {readonly};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner}, {migrator} GRANT USAGE, SELECT ON SEQUENCES TO {app};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner}, {migrator} GRANT SELECT ON SEQUENCES TO {readonly};
