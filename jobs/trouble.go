package jobs

import (
	"fmt"
	"sync"
)

// trouble notices a gateway that has stopped answering, so that a run does
// not put a whole batch in doubt. It is safe for concurrent use.
type trouble struct {
	mu     sync.Mutex
	inARow int
	shut   bool
	last   string
}

func (t *trouble) note(r Reply) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch r.Verdict {
	case Known, Refused, Contrary:
		t.inARow = 0
	default:
		t.inARow++
		t.last = r.Detail
	}
	t.shut = t.shut || r.Shut
}

// err returns ErrGateway when the gateway turns us away, or gave no answer to
// several calls in a row.
func (t *trouble) err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.shut:
		return fmt.Errorf("%w: it turns us away; check the key, and that this machine's address is on its list", ErrGateway)
	case t.inARow >= troubleLimit:
		return fmt.Errorf("%w: %d calls in a row got no answer, the last one: %s", ErrGateway, t.inARow, t.last)
	}
	return nil
}
