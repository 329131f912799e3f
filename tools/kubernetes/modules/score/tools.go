//go:build tools

// Package tools pins kube-score, which looks for what is unwise in objects, for a build from Go modules.
package tools

import _ "github.com/zegl/kube-score/cmd/kube-score"
