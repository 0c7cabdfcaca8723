package jobs

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// trouble notices a channel or a gateway that has stopped answering, and a
// channel that refuses everything, so that a batch is not put in doubt payout
// by payout. What it noticed outlives a run: in the next one a channel gets a
// single payout to prove itself with. It also keeps the silence the gateway
// asks for. It is safe for concurrent use; its zero value has noticed nothing.
type trouble struct {
	mu        sync.Mutex
	silent    map[string]int  // calls in a row without an answer, by channel
	refused   map[string]int  // refusals in a row, by channel
	probation map[string]bool // channels that have to prove themselves first
	streak    map[string]bool // channels of the calls since the last answer
	missing   int             // calls since the last answer
	shut      bool            // the gateway turns us away
	last      map[string]string
	quiet     time.Time // no call before
}

const (
	// troubleLimit is how many calls in a row may end without an answer, or
	// with a refusal, before a run sends no more on that channel.
	troubleLimit = 5
	// longestSilence bounds the pause that a gateway, or something in front
	// of it, can ask for.
	longestSilence = 5 * time.Minute
)

// begin starts a run: what was noticed before is on probation now.
func (t *trouble) begin(channels []string) (probation []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.silent == nil {
		t.silent, t.refused, t.probation, t.last = map[string]int{}, map[string]int{}, map[string]bool{}, map[string]string{}
	}
	for _, c := range channels {
		if t.down() || t.silent[c] >= troubleLimit {
			t.probation[c] = true
		}
		t.silent[c], t.refused[c] = 0, 0
	}
	t.streak, t.missing, t.shut = map[string]bool{}, 0, false
	return slices.Sorted(maps.Keys(t.probation))
}

// note takes in the answer to a call.
func (t *trouble) note(channel string, r Reply) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch r.Verdict {
	case Known, Contrary, Refused:
		t.silent[channel], t.missing = 0, 0
		clear(t.streak)
		delete(t.probation, channel)
	default:
		t.silent[channel]++
		t.missing++
		t.streak[channel] = true
		if t.probation[channel] {
			t.silent[channel] = troubleLimit
		}
	}
	if r.Verdict == Refused {
		t.refused[channel]++
	} else {
		t.refused[channel] = 0
	}
	if r.Detail != "" {
		t.last[channel] = r.Detail
	}
	t.shut = t.shut || r.Shut
	if until := time.Now().Add(capped(r.RetryAfter)); r.RetryAfter > 0 && until.After(t.quiet) {
		t.quiet = until
	}
}

func capped(pause time.Duration) time.Duration { return min(pause, longestSilence) }

// down reports whether the gateway as a whole is in trouble: it turns us
// away, or calls on several channels in a row got no answer.
func (t *trouble) down() bool {
	return t.shut || t.missing >= troubleLimit && len(t.streak) > 1
}

// closed reports whether nothing more may be sent on the channel in this run.
func (t *trouble) closed(channel string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.down() || t.probation[channel] || t.silent[channel] >= troubleLimit || t.refused[channel] >= troubleLimit
}

// onProbation reports whether the channel still has to prove itself.
func (t *trouble) onProbation(channel string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.probation[channel] && t.silent[channel] == 0 && !t.down()
}

// err returns ErrGateway with what is wrong, or nil.
func (t *trouble) err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.shut {
		return fmt.Errorf("%w: it turns us away; check the key, and that this machine's address is on its list", ErrGateway)
	}
	for _, c := range slices.Sorted(maps.Keys(t.silent)) {
		if t.silent[c] >= troubleLimit || t.down() && t.streak[c] {
			return fmt.Errorf("%w: channel %s gave no answer to several calls in a row, the last one: %s", ErrGateway, c, t.last[c])
		}
	}
	return nil
}

// refusing lists the channels that refused several payouts in a row, with the
// gateway's newest words.
func (t *trouble) refusing() map[string]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	words := map[string]string{}
	for c, n := range t.refused {
		if n >= troubleLimit {
			words[c] = t.last[c]
		}
	}
	return words
}

// silence is how long the gateway wants to be left alone.
func (t *trouble) silence() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return time.Until(t.quiet)
}
