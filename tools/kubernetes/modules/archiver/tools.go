//go:build tools

// Package tools pins the Barman Cloud Plugin of CloudNativePG for a build from Go modules.
package tools

import _ "github.com/cloudnative-pg/plugin-barman-cloud/cmd/manager"
