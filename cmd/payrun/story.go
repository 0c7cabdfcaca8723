package main

import (
	"cmp"
	"regexp"

	"payrun/epay"
	"payrun/ledger"
)

// stepWords say in words what a gateway's answer was; programs get the words
// on the left.
var stepWords = map[string]string{
	"create accepted":     "sent, the gateway took it",
	"create rejected":     "sent, the gateway refused it",
	"create not-created":  "sent, refused and never made",
	"create unknown":      "sent, no clear answer",
	"create not-sent":     "nothing was sent",
	"lookup found":        "asked, the gateway has it",
	"lookup ended-unpaid": "asked, it ended unpaid",
	"lookup ended-closed": "asked, it was closed",
	"lookup absent":       "asked, not found",
	"lookup refused":      "asked, a no that proves nothing",
	"lookup unknown":      "asked, no clear answer",
	"lookup not-sent":     "nothing was sent",
	"callback verified":   "notified of its status",
	"callback ended":      "notified of its end",
}

var numberedStatus = regexp.MustCompile(`\bstatus [0-9]+\b`)

// told is a step of a payout's story for a person.
func told(s ledger.Step) (what, detail string) {
	detail = numberedStatus.ReplaceAllStringFunc(s.Detail, func(status string) string {
		if name := epay.Status(status[len("status "):]).Name(); name != "" {
			return status + " (" + name + ")"
		}
		return status
	})
	return cmp.Or(stepWords[s.What], s.What), detail
}
