package jobs

import (
	"fmt"
	"sync"
	"time"
)

// trouble notices a gateway that has stopped answering, or a channel that
// refuses everything, so that a run does not put a whole batch in doubt. It
// also keeps the silence the gateway asks for. It is safe for concurrent use.
type trouble struct {
	mu      sync.Mutex
	silent  int            // calls in a row without an answer
	refused map[string]int // refusals in a row, by channel
	shut    bool
	last    string
	quiet   time.Time // no call before
}

// troubleLimit is how many calls in a row may end without an answer, or with
// a refusal on one channel, before a run stops sending.
const troubleLimit = 5

// note takes in the answer to a call.
func (t *trouble) note(channel string, r Reply) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.refused == nil {
		t.refused = map[string]int{}
	}
	switch r.Verdict {
	case Known, Contrary:
		t.silent, t.refused[channel] = 0, 0
	case Refused:
		t.silent = 0
		t.refused[channel]++
		t.last = r.Detail
	default:
		t.silent++
		t.last = r.Detail
	}
	t.shut = t.shut || r.Shut
	if until := time.Now().Add(r.RetryAfter); r.RetryAfter > 0 && until.After(t.quiet) {
		t.quiet = until
	}
}

// err returns ErrGateway when the gateway turns us away, or gave no answer to
// several calls in a row.
func (t *trouble) err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.shut:
		return fmt.Errorf("%w: it turns us away; check the key, and that this machine's address is on its list", ErrGateway)
	case t.silent >= troubleLimit:
		return fmt.Errorf("%w: %d calls in a row got no answer, the last one: %s", ErrGateway, t.silent, t.last)
	}
	return nil
}

// refuses reports whether a channel has refused several payouts in a row.
func (t *trouble) refuses(channel string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.refused[channel] >= troubleLimit
}

// refusing lists such channels, with the newest words of the gateway.
func (t *trouble) refusing(channels []string) (refusing []string, last string) {
	for _, c := range channels {
		if t.refuses(c) {
			refusing = append(refusing, c)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return refusing, t.last
}

// silence is how long the gateway wants to be left alone.
func (t *trouble) silence() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return time.Until(t.quiet)
}
