package main

import (
	"fmt"

	"payrun/ledger"
)

// stopCmd is the brake.
type stopCmd struct {
	Everything stopEverythingCmd `cmd:"" help:"Send nothing more."`
	Channel    stopChannelCmd    `cmd:"" help:"Send nothing more on a channel."`
	Lift       stopLiftCmd       `cmd:"" help:"Let payouts go again (checker)."`
	List       stopListCmd       `cmd:"" help:"Stops in force."`
}

type stopEverythingCmd struct{ withReason }

// Run stops everything.
func (c *stopEverythingCmd) Run(a *app) error {
	return a.stop(ledger.Everything, "", c.Reason)
}

type stopChannelCmd struct {
	Channel string `arg:"" help:"Channel code: 11, 12, 16 or 18."`
	withReason
}

// Run stops a channel.
func (c *stopChannelCmd) Run(a *app) error {
	if err := a.loadConfig(); err != nil {
		return err
	}
	if a.channelNames()[c.Channel] == "" {
		return fmt.Errorf("%w: there is no channel %s", errUsage, c.Channel)
	}
	return a.stop(ledger.OneChannel, c.Channel, c.Reason)
}

func (a *app) stop(scope ledger.Scope, subject, reason string) error {
	user, err := a.user()
	if err != nil {
		return err
	}
	if err := a.book.PlaceStop(a.ctx, user, scope, subject, reason); err != nil {
		return err
	}
	return a.show(map[string]any{"stopped": scope, "subject": subject}, func() {
		a.sayf("Stopped: %s %s. Calls already under way go on; nothing more is claimed.", scope, subject)
	})
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
	scope := ledger.Everything
	if c.Channel != "" {
		scope = ledger.OneChannel
	}
	if err := a.book.LiftStop(a.ctx, user, scope, c.Channel); err != nil {
		return err
	}
	return a.show(map[string]any{"lifted": scope, "subject": c.Channel}, func() { a.sayf("Payouts go again: %s %s.", scope, c.Channel) })
}

type stopListCmd struct{}

// Run lists stops.
func (c *stopListCmd) Run(a *app) error {
	if err := a.openStore(); err != nil {
		return err
	}
	stops, err := a.book.Stops(a.ctx)
	if err != nil {
		return err
	}
	return a.show(stops, func() {
		t := newTable(a.out, "stopped", "subject", "by", "since", "reason")
		for _, s := range stops {
			t.row(s.Scope, s.Subject, s.PlacedBy, a.localTime(s.PlacedAt), s.Reason)
		}
		t.flush()
	})
}
