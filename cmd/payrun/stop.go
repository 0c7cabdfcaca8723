package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"payrun/importers"
	"payrun/ledger"
)

// stopCmd is the brake.
type stopCmd struct {
	Everything stopEverythingCmd `cmd:"" help:"Send nothing more (maker, checker or admin)."`
	Channel    stopChannelCmd    `cmd:"" help:"Send nothing more on a channel."`
	Batch      stopBatchCmd      `cmd:"" help:"Send no more of a batch; the same as batch pause."`
	Payout     stopPayoutCmd     `cmd:"" help:"Do not send a payout."`
	Wallet     stopWalletCmd     `cmd:"" help:"Pay a wallet no more, and refuse sheets that name it; the account is read from standard input, or is that --of an order."`
	Lift       stopLiftCmd       `cmd:"" help:"Let payouts go again (checker)."`
	List       stopListCmd       `cmd:"" help:"Stops in force."`
}

// stopLiftCmd lets go of what was stopped.
type stopLiftCmd struct {
	Everything liftEverythingCmd `cmd:"" default:"1" help:"Lift the stop of everything (checker)."`
	Channel    liftChannelCmd    `cmd:"" help:"Lift the stop of a channel (checker)."`
	Batch      liftBatchCmd      `cmd:"" help:"Lift the stop of a batch; the same as batch resume (checker)."`
	Payout     liftPayoutCmd     `cmd:"" help:"Lift the stop of a payout (checker)."`
	Wallet     liftWalletCmd     `cmd:"" help:"Lift the stop of a wallet (checker)."`
}

type channelArg struct {
	Channel string `arg:"" help:"Channel code or name, such as 16 or Payeer."`
}

type orderArg struct {
	Order string `arg:"" help:"Order number."`
}

type walletArg struct {
	Channel string `arg:"" optional:"" help:"Channel code or name, such as 16 or Payeer."`
	Of      string `help:"The wallet that this order number pays." placeholder:"ORDER"`
}

func (c channelArg) target(a *app) (ledger.Stop, error) {
	code, err := a.channelCode(c.Channel)
	return ledger.Stop{Scope: ledger.OneChannel, Subject: code}, err
}

func (b batchID) target() ledger.Stop {
	return ledger.Stop{Scope: ledger.OneBatch, Subject: fmt.Sprint(b.ID)}
}

func (o orderArg) target() ledger.Stop { return ledger.Stop{Scope: ledger.OnePayout, Subject: o.Order} }

// target finds the wallet without its number on the command line, where every
// user of the machine could read it.
func (w walletArg) target(a *app) (ledger.Stop, error) {
	stop := ledger.Stop{Scope: ledger.OneWallet}
	if w.Of != "" {
		if err := a.openStore(); err != nil {
			return stop, err
		}
		p, err := a.book.Payout(a.ctx, w.Of)
		stop.Subject = ledger.Wallet(p.Channel, p.Account)
		return stop, err
	}
	if w.Channel == "" {
		return stop, usagef("name the channel and write the account to standard input, or use --of ORDER")
	}
	code, err := a.channelCode(w.Channel)
	if err != nil {
		return stop, err
	}
	if isTerminal(a.in) {
		fmt.Fprintf(a.errOut, "The account on %s, then Enter: ", a.channelName(w.Channel))
	}
	line, err := bufio.NewReader(a.in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return stop, fmt.Errorf("read the account from standard input: %w", err)
	}
	account := strings.TrimSpace(line)
	if account == "" || strings.ContainsAny(account, " \t") {
		return stop, usagef("standard input holds no account; write it there, alone on a line, or use --of ORDER")
	}
	stop.Subject = ledger.Wallet(code, account)
	return stop, nil
}

type stopEverythingCmd struct{ withReason }

// Run stops everything.
func (c *stopEverythingCmd) Run(a *app) error {
	return a.stop(ledger.Stop{Scope: ledger.Everything}, c.Reason, nil)
}

type stopChannelCmd struct {
	channelArg
	withReason
}

// Run stops a channel.
func (c *stopChannelCmd) Run(a *app) error {
	stop, err := c.target(a)
	return a.stop(stop, c.Reason, err)
}

type stopBatchCmd struct{ reasoned }

// Run stops a batch.
func (c *stopBatchCmd) Run(a *app) error { return a.stop(c.target(), c.Reason, nil) }

type stopPayoutCmd struct {
	orderArg
	withReason
}

// Run stops a payout.
func (c *stopPayoutCmd) Run(a *app) error { return a.stop(c.target(), c.Reason, nil) }

type stopWalletCmd struct {
	walletArg
	withReason
}

// Run stops a wallet.
func (c *stopWalletCmd) Run(a *app) error {
	stop, err := c.target(a)
	if err != nil {
		return err
	}
	if _, err := a.user(); err != nil { // it opens the store
		return err
	}
	channel, account, _ := strings.Cut(stop.Subject, " ")
	history, err := a.book.WalletHistory(a.ctx, channel, account)
	if err != nil {
		return err
	}
	if c.Of == "" && history.Approved == 0 {
		err = a.knowWallet(channel, account)
	}
	if err := a.stop(stop, c.Reason, err); err != nil || a.cli.JSON {
		return err
	}
	switch {
	case history.Paid > 0:
		a.sayf("It was paid %s so far.", counted(history.Paid, "time", "times"))
	case history.Approved > 0:
		a.sayf("Nothing was paid to it so far; %s approved.", counted(history.Approved, "payout was", "payouts were"))
	default:
		a.sayf("No payout to it is on record: check the number.")
	}
	return nil
}

// knowWallet refuses what cannot be a wallet of the channel: a mistyped number
// would leave the one that was meant open.
func (a *app) knowWallet(channel, account string) error {
	for _, c := range importers.DefaultChannels() {
		if c.Code != channel {
			continue
		}
		if usual, looks := c.Usual(account); !usual {
			return usagef("That is no %s wallet (%s); nothing is stopped. The wallet of an order is stopped by --of ORDER", c.Name, looks)
		}
	}
	return nil
}

type liftEverythingCmd struct{}

// Run lets everything go again.
func (c *liftEverythingCmd) Run(a *app) error {
	return a.lift(ledger.Stop{Scope: ledger.Everything}, nil)
}

type liftChannelCmd struct{ channelArg }

// Run lets a channel go again.
func (c *liftChannelCmd) Run(a *app) error { return a.lift(c.target(a)) }

type liftBatchCmd struct{ batchID }

// Run lets a batch go again.
func (c *liftBatchCmd) Run(a *app) error { return a.lift(c.target(), nil) }

type liftPayoutCmd struct{ orderArg }

// Run lets a payout go again.
func (c *liftPayoutCmd) Run(a *app) error { return a.lift(c.target(), nil) }

type liftWalletCmd struct{ walletArg }

// Run lets a wallet be paid again.
func (c *liftWalletCmd) Run(a *app) error { return a.lift(c.target(a)) }

// stop and lift also take the error with which the target was not found.
func (a *app) stop(s ledger.Stop, reason string, err error) error {
	if err != nil {
		return err
	}
	user, err := a.user()
	if err != nil {
		return err
	}
	if err := a.book.PlaceStop(a.ctx, user, s.Scope, s.Subject, reason); err != nil {
		return err
	}
	return a.show(map[string]any{"stopped": s.Scope, "what": s.Name(), "by": user.Name}, func() {
		a.sayf("Stopped by %s: %s. Calls already under way go on; nothing more is sent. Only a checker lifts it: %s", user.Name, a.stopWords(s), liftCommand(s))
	})
}

func (a *app) lift(s ledger.Stop, err error) error {
	if err != nil {
		return err
	}
	user, err := a.user()
	if err != nil {
		return err
	}
	if err := a.book.LiftStop(a.ctx, user, s.Scope, s.Subject); err != nil {
		return err
	}
	left, err := a.book.Stops(a.ctx)
	if err != nil {
		return err
	}
	return a.show(map[string]any{"lifted": s.Scope, "what": s.Name(), "by": user.Name}, func() {
		if others := a.stillStopped(left); others != "" {
			a.sayf("The stop of %s is lifted. Still stopped: %s.", a.stopWords(s), others)
			return
		}
		a.sayf("The stop of %s is lifted: payouts go again.", a.stopWords(s))
	})
}

// stopWords is what is stopped, with its channel's name.
func (a *app) stopWords(s ledger.Stop) string {
	switch s.Scope {
	case ledger.OneChannel:
		return s.Name() + " (" + a.channelName(s.Subject) + ")"
	case ledger.OneWallet:
		code, _, _ := strings.Cut(s.Subject, " ")
		return strings.TrimSuffix(s.Name(), "channel "+code) + a.channelName(code)
	}
	return s.Name()
}

type stopListCmd struct{}

type stopView struct {
	Scope  ledger.Scope `json:"scope"`
	What   string       `json:"what"`
	Reason string       `json:"reason"`
	By     string       `json:"by"`
	Since  string       `json:"since"`
	Also   string       `json:"also,omitempty"`
}

func viewStop(s ledger.Stop) stopView {
	return stopView{s.Scope, s.Name(), s.Reason, s.PlacedBy, instant(s.PlacedAt), s.Also}
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
			t.row(a.stopWords(s), person(s.PlacedBy), a.localTime(s.PlacedAt), s.Reason)
		}
		t.flush()
		for _, s := range stops {
			if s.Also != "" {
				a.sayf("Also, of %s: %s", a.stopWords(s), s.Also)
			}
		}
	})
}
