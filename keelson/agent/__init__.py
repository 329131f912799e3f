"""The agent: runs a stack's jobs on their schedules, and says how the stack is.

| module | holds |
|---|---|
| `jobs` | the jobs, as providers wrote them down |
| `kinds` | which module does which kind of job |
| `state` | what became of each job's runs |
| `history` | every run that ended |
| `notices` | who is told of runs |
| `loop` | which job is due, and its run |
| `run` | the process of one run |
| `child` | the agent's hold on that process |
| `onlooker` | in place of the loop, where others run the jobs |
| `looks` | looks that may hang, with a deadline |
| `health`, `metrics` | the two pages |
| `live` | whether an agent works, asked from outside |
| `pages` | the server of the pages |
| `service` | all of it in one process: `python -m keelson.agent KEY --port N [--state FILE]` |
"""
