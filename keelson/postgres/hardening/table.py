"""All checks, in their order: a new one is a line here, a function that looks, and a test that makes a server worse."""

from __future__ import annotations

from keelson.postgres.hardening import inside, logins, logs, network, upkeep
from keelson.postgres.hardening.model import Check

_SET = "set it under `keelson:postgres` of the stack file, elsewhere with ALTER SYSTEM"
_LINE = "correct the line of pg_hba.conf and reload; in a stack `keelson up` writes it anew"

CHECKS: tuple[Check, ...] = (
    Check(
        "password-encryption", "New passwords are stored as SCRAM verifiers", "STIG V-233596, CIS 5.12",
        "set password_encryption to scram-sha-256, and take other values from roles and databases (ALTER ROLE … RESET)",
        logins.password_encryption,
    ),
    Check(
        "stored-passwords", "No role has an older kind of password", "STIG V-233596",
        "give the role its password anew: ALTER ROLE … PASSWORD, by psql's \\password", logins.stored_passwords,
    ),
    Check(
        "login-methods", "Each line of pg_hba.conf asks for SCRAM, a certificate or the system's user", "STIG V-233519",
        _LINE, network.methods,
    ),
    Check(
        "encrypted-logins", "From another machine nobody is let in without TLS", "CIS 5.8",
        f"write hostssl in place of host: {_LINE}", network.encrypted_rules,
    ),
    Check(
        "narrow-logins", "A line for other machines names its databases, its roles or their network", "CIS 5.9, 5.10",
        f"write a line for each database and role: {_LINE}", network.narrow_rules,
    ),
    Check(
        "superusers-at-home", "No superuser is let in from another machine", "CIS 5.11",
        f"let superusers in by the socket or the loopback address alone: {_LINE}", network.superusers_stay,
    ),
    Check(
        "tls", "Connections can be encrypted, by no old version of TLS", "STIG V-233611, CIS 6.8",
        "set ssl to on, and ssl_min_protocol_version to TLSv1.3 or TLSv1.2", network.tls,
    ),
    Check(
        "ciphers", "No weak cipher is offered", "CIS 6.10",
        "set ssl_min_protocol_version to TLSv1.3, or ssl_ciphers to HIGH:!aNULL:!3DES", network.ciphers,
    ),
    Check(
        "log-connections", "Who connects is written down", "CIS 3.1.20", f"log_connections = on: {_SET}", logs.connections
    ),
    Check(
        "log-disconnections", "Who leaves is written down", "CIS 3.1.21",
        f"log_disconnections = on: {_SET}", logs.disconnections,
    ),
    Check(
        "log-prefix", "A line of the log says when, by which process, for whom, in which database and from where", "CIS 3.1.24",
        f"log_line_prefix with %m, %p, %u, %d and %h: {_SET}", logs.line_prefix,
    ),
    Check(
        "log-statement", "What changes the schema is written down", "CIS 3.1.25",
        f"log_statement = ddl or mod: {_SET}", logs.statements,
    ),
    Check(
        "log-slow", "What waits long for a lock, or takes long, is written down", "CIS 3.1",
        f"log_lock_waits = on, log_min_duration_statement = 1s: {_SET}", logs.slow,
    ),
    Check("log-time", "Times in the log are UTC", "CIS 3.1", f"log_timezone = UTC: {_SET}", logs.time_zone),
    Check(
        "client-messages", "Clients are told nothing of the server's inside", "STIG V-233516",
        f"client_min_messages = notice: {_SET}, of a role with ALTER ROLE … RESET", logs.messages,
    ),
    Check(
        "audit", "A server that has pgAudit loads it, and it logs", "STIG V-233600, CIS 3.2",
        "set `pgaudit: true` of the server in the stack file; elsewhere pgaudit in shared_preload_libraries, and pgaudit.log = 'ddl, role'",
        logs.audit,
    ),
    Check(
        "addresses", "A server of one machine listens to that machine alone", "CIS 5.2",
        "name in listen_addresses the addresses on which clients come", network.addresses,
    ),
    Check(
        "superusers", "Nobody is a superuser but the one that initdb made", "STIG V-233593, CIS 4.3",
        "ALTER ROLE … NOSUPERUSER, and grant what the role needs", logins.superusers,
    ),
    Check(
        "connection-limits", "Each login may have so many connections, and no more", "STIG V-233522, CIS 5.5",
        "`keelson up` puts it back; `connections` under `bounds` of the service's database.yaml; elsewhere ALTER ROLE … CONNECTION LIMIT", logins.connection_limits,
    ),
    Check(
        "attributes", "No role may make roles or databases, replicate or look past row-level security without need", "STIG V-233593",
        "ALTER ROLE … NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS; of a stack's roles `keelson up` does it",
        logins.attributes,
    ),
    Check(
        "public-connect", "PUBLIC may neither connect to a service's database nor make temporary tables there", "STIG V-233539",
        "REVOKE ALL ON DATABASE … FROM PUBLIC, then GRANT CONNECT to the roles of its service; of a stack's `keelson up` does it", inside.public_connects,
    ),
    Check(
        "public-schemas", "PUBLIC may neither use nor change a schema of a service", "CIS 4.10",
        "REVOKE ALL ON SCHEMA … FROM PUBLIC, in a migration where one made the schema", inside.open_schemas,
    ),
    Check(
        "definer-search-path", "A function that runs as its owner has a search_path of its own", "STIG V-233543",
        "ALTER FUNCTION … SET search_path = public, pg_temp, in a migration", inside.unpinned_definers,
    ),
    Check(
        "definer-execute", "PUBLIC may run no function that runs as its owner", "CIS 4.5",
        "REVOKE EXECUTE ON FUNCTION … FROM PUBLIC, in a migration, then GRANT EXECUTE to who needs it", inside.public_definers,
    ),
    Check(
        "row-security", "Row-level security is on where a table is meant to have it, and holds for all who log in", "CIS 4.7",
        "ALTER TABLE … ENABLE ROW LEVEL SECURITY, and FORCE where a login may work as its owner, in a migration",
        inside.row_security,
    ),
    Check(
        "owners", "All in a service's database belongs to the service's owner", "STIG V-233539",
        "ALTER … OWNER TO the service's owner", inside.owners,
    ),
    Check(
        "extensions", "A database has the extensions that its description names, and no others", "STIG V-233592, CIS 1.8",
        "DROP EXTENSION, or name it under `extensions` in the service's database.yaml", inside.extensions,
    ),
    Check("checksums", "A damaged page is noticed", "CIS 1.4.3", "stop the server and run pg_checksums --enable", upkeep.checksums),
    Check(
        "timeouts", "Nothing that a login does lasts for ever", "STIG V-233613",
        "`keelson up` puts it back, where `bounds` of the settings do not say 0; elsewhere ALTER ROLE … SET lock_timeout, "
        "idle_in_transaction_session_timeout and statement_timeout",
        logins.timeouts,
    ),
    Check(
        "backups", "Backups are made in time, and archiving does not fail", "CIS 7.3, 7.4",
        "`keelson backup run SERVICE`; see `keelson status` and `keelson logs agent`", upkeep.backups,
    ),
    Check(
        "replication", "Who replicates from another machine does nothing else", "CIS 7.1",
        "let replicas log in as a role that has REPLICATION, owns nothing and belongs to no role", logins.replication,
    ),
    Check(
        "languages", "Nobody but a superuser reaches files and programs of the server, or everybody's rows", "CIS 4.3",
        "DROP LANGUAGE, REVOKE EXECUTE ON FUNCTION … FROM, or REVOKE the membership", logins.languages,
    ),
    Check(
        "unused-logins", "Each login is somebody's, or ends", "CIS 4.4",
        "DROP ROLE, ALTER ROLE … NOLOGIN, or ALTER ROLE … VALID UNTIL", logins.unused_logins,
    ),
    Check(
        "passwords-in-texts", "No password stands in a parameter, in a function or in a comment", "CIS 5.12",
        "take it out of the text, and give its role another one", inside.passwords,
    ),
    Check(
        "private-files", "Nobody else on the machine reads data or passwords", "CIS 1.4, 2.1",
        "chmod go-rwx the file or directory, and chown it to its user", upkeep.files,
    ),
)  # fmt: skip
