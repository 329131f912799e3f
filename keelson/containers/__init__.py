"""What runs in a container of each kind of part, whatever platform runs it.

| module | holds |
|---|---|
| `model` | what a part is asked to be, and what its container is like |
| `kinds` | the interface of a kind, and how a kind is found |
| `server`, `redis`, `pgadmin`, `agent` | the kinds |
| `toolbox` | the container through which what lies inside a stack is asked |
| `state` | questions to the stack's state, wherever its platform keeps that |
"""
