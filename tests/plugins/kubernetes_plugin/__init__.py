"""A stand-in for pulumi-resource-kubernetes 4.34.0: test equipment, used where the official plugin cannot be had.

It creates objects of all built-in kinds and of custom resources on a real API server, through PyPI's `kubernetes`. What it
does follows the official provider: names and namespaces, server-side dry runs, what replaces, whose fields are whose,
what it waits for and for how long, what a failure says. It is stricter in one thing: an input that the SDK does not know
is refused. It has no Helm charts, no patch resources, no components, no client-side apply, of the functions only what
reads YAML, and renders none, and says so.
The product never imports it.

`server` speaks to the engine, `session` holds the provider's configuration, `cluster` speaks to the API server, `kinds` knows
what the SDK says, `objects` gives inputs and states their form, `diffs` compares, `resources` creates, reads, updates and
deletes, `waiting` and `workloads` wait, `ownership` knows whose fields are whose.
"""
