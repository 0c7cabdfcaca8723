// Package alert tells people and their programs what happened: by a signed
// webhook, and by mail. It knows nothing of payouts; what it tells are texts.
//
// A message may arrive twice when a process dies between delivering and
// remembering it. Its ID is the same both times.
//
// Start reading at [Webhook.Deliver] and [Mailer.Deliver].
package alert

import (
	"strings"
	"time"
	"unicode"
)

// Message is one thing to tell.
type Message struct {
	ID       string    `json:"id"`     // the same whenever it is sent
	Kind     string    `json:"kind"`   // a stable word, such as "in-doubt"
	Source   string    `json:"source"` // which installation tells it
	Summary  string    `json:"summary"`
	Detail   string    `json:"detail,omitempty"`
	NextStep string    `json:"next_step,omitempty"`
	Batch    int64     `json:"batch,omitempty"`
	Order    string    `json:"order,omitempty"` // order number
	Since    time.Time `json:"since"`           // when it began
	Raised   time.Time `json:"raised_at"`
}

// line makes a text fit for one line: whatever could end it, or change how it
// is shown, becomes a space.
func line(text string) string {
	printable := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	return strings.Join(strings.Fields(printable), " ")
}
