"""A real single-node Kubernetes for tests, built from Go modules and run in namespaces of its own. `tools/cluster` calls it."""
