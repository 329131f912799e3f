module keelson.invalid/kinds

go 1.26.0

// The definitions of kinds that others bring to a cluster, and a stack may make; nothing of these is built.
require (
	github.com/external-secrets/external-secrets v0.20.4
	github.com/prometheus-operator/prometheus-operator v0.94.0
	sigs.k8s.io/gateway-api v1.4.0
)
