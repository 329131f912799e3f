//go:build tools

// Package tools pins CoreDNS for a build from Go modules.
package tools

import _ "github.com/coredns/coredns"
