//go:build tools

// Package tools pins etcd for a build from Go modules.
package tools

import _ "go.etcd.io/etcd/server/v3"
