//go:build tools

// Package tools pins kubectl-validate, which holds objects to the schemas of the API and of custom kinds, for a build from Go modules.
package tools

import _ "sigs.k8s.io/kubectl-validate"
