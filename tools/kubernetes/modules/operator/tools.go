//go:build tools

// Package tools pins CloudNativePG for a build from Go modules: the newest whose own dependencies are all published there.
package tools

import _ "github.com/cloudnative-pg/cloudnative-pg/cmd/manager"
