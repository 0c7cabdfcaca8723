//go:build !unix

package apart

import "time"

// limitProcess has no hard limits to set here: the parent's patience and the
// soft memory limit remain.
func limitProcess(int64, time.Duration) error { return nil }
