//go:build unix

package importers

import "syscall"

// outside returns zeroed memory outside of Go's heap. What the collector lets
// pile up grows with what lives in the heap: a large table there would be paid
// for twice.
func outside(bytes int) []byte {
	memory, err := syscall.Mmap(-1, 0, bytes, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return make([]byte, bytes)
	}
	return memory
}

// release gives back what outside returned; nobody may hold on to it. Memory
// of Go's heap, which the kernel does not know, is left to the collector.
func release(memory []byte) { _ = syscall.Munmap(memory) }
