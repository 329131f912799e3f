"""Servers as processes of this machine: no Docker, no rights of root.

| module | holds |
|---|---|
| `root` | the private Debian root and the bubblewrap command line |
| `runner` | the small process between supervisor and a server |
| `supervisor` | one supervisord per stack |
| `registry` | what a stack has on this machine: servers, ports, passwords |
| `ports` | which port to take, and who holds one |
| `tls` | a stack's own certificate authority |
| `configuration` | postgresql.conf and pg_hba.conf |
| `data_directory` | a server's directory: made, recognised, moved, removed |
| `server` | a PostgreSQL server from its specification to its answer |
| `stack` | a stack's entry on this machine |
| `login` | start at login |
| `processes` | the processes of a stack |
"""
