package main

import (
	"fmt"
	"slices"
	"strings"

	"payrun/ledger"
)

// shownStops is how many stops of a batch are told one by one.
const shownStops = 5

// whatHolds tells, one sentence each, what an approved batch waits for.
func (a *app) whatHolds(batch int64) ([]string, error) {
	waiting, err := a.book.WaitingOf(a.ctx, batch, a.enabledChannels(), a.config.Gateway.LimitsAge)
	if err != nil {
		return nil, err
	}
	var sentences []string
	if slices.ContainsFunc(waiting, ledger.Waiting.Stopped) {
		stops, err := a.book.StopsOf(a.ctx, batch)
		if err != nil {
			return nil, err
		}
		for i, s := range stops {
			if i == shownStops {
				sentences = append(sentences, fmt.Sprintf("%s more: payrun stop list", counted(int64(len(stops)-i), "stop", "stops")))
				break
			}
			sentences = append(sentences, a.heldBy(s, liftCommand(s)))
		}
	}
	for _, w := range waiting {
		if !w.Stopped() {
			sentences = append(sentences, fmt.Sprintf("%s on %s in %s %s", counted(w.Payouts, "payout", "payouts"), a.channelName(w.Channel), w.Currency, waitWords(w)))
		}
	}
	return sentences, nil
}

// heldBy says who stopped what, and who lets it go.
func (a *app) heldBy(s ledger.Stop, lift string) string {
	return fmt.Sprintf("%s is stopped by %s since %s, %q. Next, a checker: %s", a.stopWords(s), person(s.PlacedBy), a.localTime(s.PlacedAt), s.Reason, lift)
}

// person is who did something, without what kind of actor that is.
func person(actor string) string { return strings.TrimPrefix(actor, "user:") }

// liftCommand lifts a stop. That of a wallet reads the account from standard
// input.
func liftCommand(s ledger.Stop) string {
	subject := s.Subject
	if s.Scope == ledger.OneWallet {
		subject, _, _ = strings.Cut(s.Subject, " ")
	}
	return strings.TrimSpace(fmt.Sprintf("payrun stop lift %s %s", s.Scope, subject))
}

// waitWords says what some payouts do instead of being sent.
func waitWords(w ledger.Waiting) string {
	words := w.Words()
	if w.Reason == ledger.WaitForLimits {
		words += ", which payrun serve asks for"
	}
	return words
}

// waitingWords adds the stop that holds a group of payouts.
func (a *app) waitingWords(w ledger.Waiting, stops []ledger.Stop) string {
	if !w.Stopped() {
		return waitWords(w)
	}
	for _, s := range stops {
		if s.Scope == ledger.Everything || s.Scope == ledger.OneChannel && s.Subject == w.Channel {
			return fmt.Sprintf("%s: %s is stopped by %s (%s)", w.Words(), a.stopWords(s), person(s.PlacedBy), liftCommand(s))
		}
	}
	return w.Words() + ": their batches, their wallets or they themselves are stopped (payrun stop list)"
}

// sentUnless says after an approval whether the batch is sent now.
func (a *app) sentUnless(stops []ledger.Stop) string {
	for _, s := range stops {
		if s.Scope == ledger.Everything || s.Scope == ledger.OneBatch {
			return fmt.Sprintf(" It is not sent yet: %s is stopped (payrun stop list).", a.stopWords(s))
		}
	}
	if held := a.stillStopped(stops); held != "" {
		return " payrun serve sends it, but for what is stopped: " + held + "."
	}
	return " payrun serve sends it."
}

// stillStopped lists stops in a few words, " (payrun stop list)" included, or
// returns "" for none.
func (a *app) stillStopped(stops []ledger.Stop) string {
	var words []string
	several := map[ledger.Scope]int64{}
	for _, s := range stops {
		several[s.Scope]++
	}
	for _, s := range stops {
		switch n := several[s.Scope]; {
		case n == 0: // told already
		case n <= 2:
			words = append(words, a.stopWords(s))
		default:
			words = append(words, counted(n, string(s.Scope), plural(s.Scope)))
			several[s.Scope] = 0
		}
	}
	if len(words) == 0 {
		return ""
	}
	return strings.Join(words, ", ") + " (payrun stop list)"
}

func plural(s ledger.Scope) string {
	if s == ledger.OneBatch {
		return "batches"
	}
	return string(s) + "s"
}
