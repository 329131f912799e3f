"""Servers as processes of this machine: no Docker, no rights of root.

| module | holds |
|---|---|
| `root` | the private Debian root and the bubblewrap command line |
| `client` | PostgreSQL's client programs from that root |
| `runner` | the small process between supervisor and a server |
| `supervisor` | one supervisord per stack |
| `registry` | what a stack has on this machine: servers, ports, passwords |
| `stack` | a stack's entry on this machine: made and removed |
| `spec` | what a server is asked to be |
| `ports` | which port to take, and who holds one |
| `tls` | the certificates of servers |
| `authorities` | a stack's own certificate authority, and the next one |
| `pem` | certificates and keys in files |
| `configuration` | postgresql.conf and pg_hba.conf |
| `data_directory` | a server's directory: made, recognised, moved, removed |
| `server` | a PostgreSQL server from its specification to its answer |
| `target` | all of this behind the interface of a target |
| `login` | start at login |
| `processes` | the processes of a stack |
| `locks`, `files`, `shared_memory` | what the modules above share |
"""
