"""Drills: a backup is restored into a throw-away server, and what is there then is held against what was backed up.

| module | holds |
|---|---|
| `drilling` | the drill: phases, and what each found |
| `scratch` | the server and the database that it restores into |
| `comparing` | what differs, in one sentence each |
| `checks` | the project's own queries |
| `evidence` | what is kept of each drill |
| `overdue` | whether a drill failed, or was due and is not there |
| `following` | how a drill waits for the backup that is due with it, where nobody begins one after the other |
| `scheduled` | what the agent does when one is due |

No module here opens a connection to a server of the stack.
"""
