"""Servers as processes of this machine: no Docker, no rights of root.

| module | holds |
|---|---|
| `root` | the private Debian root and the bubblewrap command line |
| `runner` | the small process between supervisor and a server |
| `supervisor` | one supervisord per stack |
| `registry` | what a stack has on this machine: servers, ports, passwords |
| `ports` | which port to take, and who holds one |
| `certificates` | a stack's own certificate authority |
| `configuration` | postgresql.conf and pg_hba.conf |
| `server` | a PostgreSQL server from its specification to its answer |
| `login` | start at login |
| `processes` | the processes of a stack |
"""
