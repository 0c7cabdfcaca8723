//go:build !race

package apart_test

import (
	"errors"
	"testing"

	"payrun/internal/apart"
)

// With the race detector a process has no limit of memory.
func TestAProcessThatWantsTooMuchMemory(t *testing.T) {
	t.Parallel()
	if err := apart.Ask(t.Context(), process("hungry"), 1, nil, enough); !errors.Is(err, apart.ErrMemory) {
		t.Errorf("got %v, want %v", err, apart.ErrMemory)
	}
}
