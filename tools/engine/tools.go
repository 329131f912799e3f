//go:build tools

// Package tools pins the Pulumi engine for a build from Go modules; go.mod repeats the one replacement of its own go.mod.
package tools

import _ "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
