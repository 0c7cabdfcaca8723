//go:build !unix

package importers

// outside would be memory outside of Go's heap.
func outside(bytes int) []byte { return make([]byte, bytes) }

func release([]byte) {}
