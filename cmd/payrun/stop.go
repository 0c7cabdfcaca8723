package main

import (
	"payrun/ledger"
)

// stopCmd is the brake.
type stopCmd struct {
	Everything stopEverythingCmd `cmd:"" help:"Send nothing more (maker or checker)."`
	Channel    stopChannelCmd    `cmd:"" help:"Send nothing more on a channel (maker or checker)."`
	Lift       stopLiftCmd       `cmd:"" help:"Let payouts go again (checker)."`
	List       stopListCmd       `cmd:"" help:"Stops in force."`
}

type stopEverythingCmd struct{ withReason }

// Run stops everything.
func (c *stopEverythingCmd) Run(a *app) error {
	return a.stop(ledger.Everything, "", c.Reason)
}

type stopChannelCmd struct {
	Channel string `arg:"" help:"Channel code, such as 16."`
	withReason
}

// Run stops a channel.
func (c *stopChannelCmd) Run(a *app) error { return a.stop(ledger.OneChannel, c.Channel, c.Reason) }

func (a *app) stop(scope ledger.Scope, channel, reason string) error {
	user, err := a.user()
	if err != nil {
		return err
	}
	if err := a.knowChannel(channel); err != nil {
		return err
	}
	if err := a.book.PlaceStop(a.ctx, user, scope, channel, reason); err != nil {
		return err
	}
	return a.show(map[string]any{"stopped": scope, "channel": channel, "by": user.Name}, func() {
		a.sayf("Stopped by %s: %s. Calls already under way go on; nothing more is sent.", user.Name, a.scopeWords(scope, channel))
	})
}

func (a *app) scopeWords(scope ledger.Scope, subject string) string {
	switch scope {
	case ledger.OneChannel:
		return "channel " + subject + " (" + a.channelName(subject) + ")"
	case ledger.OneBatch:
		return "batch " + subject
	}
	return string(scope)
}

type stopLiftCmd struct {
	Channel string `help:"Lift the stop of this channel instead of everything's."`
}

// Run lifts a stop.
func (c *stopLiftCmd) Run(a *app) error {
	user, err := a.user()
	if err != nil {
		return err
	}
	if err := a.knowChannel(c.Channel); err != nil {
		return err
	}
	scope := ledger.Everything
	if c.Channel != "" {
		scope = ledger.OneChannel
	}
	if err := a.book.LiftStop(a.ctx, user, scope, c.Channel); err != nil {
		return err
	}
	return a.show(map[string]any{"lifted": scope, "channel": c.Channel, "by": user.Name}, func() {
		a.sayf("Payouts go again: %s.", a.scopeWords(scope, c.Channel))
	})
}

type stopListCmd struct{}

type stopView struct {
	Scope   ledger.Scope `json:"scope"`
	Subject string       `json:"subject,omitempty"`
	Reason  string       `json:"reason"`
	By      string       `json:"by"`
	Since   string       `json:"since"`
}

func viewStop(s ledger.Stop) stopView {
	return stopView{s.Scope, s.Subject, s.Reason, s.PlacedBy, instant(s.PlacedAt)}
}

// Run lists stops.
func (c *stopListCmd) Run(a *app) error {
	if err := a.openStore(); err != nil {
		return err
	}
	stops, err := a.book.Stops(a.ctx)
	if err != nil {
		return err
	}
	return a.show(views(stops, viewStop), func() {
		if len(stops) == 0 {
			a.sayf("Nothing is stopped.")
			return
		}
		t := newTable(a.out, "stopped", "by", "since", "reason")
		for _, s := range stops {
			t.row(a.scopeWords(s.Scope, s.Subject), s.PlacedBy, a.localTime(s.PlacedAt), s.Reason)
		}
		t.flush()
	})
}
