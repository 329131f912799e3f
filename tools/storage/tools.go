//go:build tools

// Package tools pins what tests of backups use: a server of S3-compatible storage, and age.
package tools

import (
	_ "filippo.io/age/cmd/age"
	_ "github.com/versity/versitygw/cmd/versitygw"
)
