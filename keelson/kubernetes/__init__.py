"""A stack's parts as objects of a Kubernetes cluster.

| module | holds |
|---|---|
| `cluster` | which cluster is meant, and its API in plain JSON |
| `credentials` | what the kubeconfig says: where the API answers, and as whom it is asked |
| `faults` | one sentence of what the API refuses |
| `websocket` | a connection through the API, of several channels |
| `streams` | processes that run in pods |
| `forward` | ports of this machine that lead to pods |
| `state` | the stack's state, in a Secret |
| `toolbox` | the pod through which what lies inside a stack is asked |
| `shell` | commands of Keelson that run in there |
| `target` | all that the commands ask of the platform |
| `workloads`, `troubles`, `logs` | the parts' pods as they are now, why one does not serve, and what it wrote |
| `poolers`, `switchover` | what shares a server's connections, and another instance that takes its writes |
| `runs` | what became of the CronJobs' runs |
| `volumes`, `harm`, `purging` | where the volumes lie, what is missing, and removing what is left |
"""
