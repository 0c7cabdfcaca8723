package main

import (
	"errors"
	"fmt"
	"time"

	"payrun/jobs"
	"payrun/ledger"
)

// restoredCmd is how people tell Payrun that its database is an older one.
type restoredCmd struct{ withReason }

type restoredView struct {
	Stopped  string `json:"stopped"`
	AskUntil string `json:"ask_until"`
	By       string `json:"by"`
}

// Run declares the restore and says what follows from it.
func (c *restoredCmd) Run(a *app) error {
	user, err := a.user()
	if err != nil {
		return err
	}
	if err := a.book.DeclareRestore(a.ctx, user, c.Reason); err != nil {
		return err
	}
	origin, err := a.book.Origin(a.ctx)
	if err != nil {
		return err
	}
	until := origin.RestoredAt.Add(a.config.AskAfterRestore)
	return a.show(restoredView{string(ledger.Everything), instant(until), user.Name}, func() {
		a.sayf("The restore is recorded, by %s. What this means:", user.Name)
		a.sayf("")
		for i, step := range []string{
			"Everything is stopped: nothing is sent by any process until the stop is lifted. Look-ups go on.",
			"Payouts that were sent after the copy was made look unsent here. Until " + a.localTime(until) +
				" the gateway is therefore asked about each payout right before it would be sent, and what it has is not sent again.",
			"Run payrun check: it learns how the gateway says that it has no such order. Only what it says so of is sent.",
			"Compare the gateway's own list since the copy was made with payrun report. Batches, approvals, top-ups and decisions of that " +
				"time are gone: import the same sheets again (they get the same order numbers), approve them, book the top-ups.",
			"When that is done, a checker other than " + user.Name + " lifts the stop: payrun stop lift everything.",
		} {
			a.sayf("%s", wrapped(fmt.Sprintf("%d. %s", i+1, step), "  "))
		}
	})
}

// noticeRestore looks for a restored copy before anything runs. What it finds
// is no error: the stop that it places is in the store, for every process.
func (a *app) noticeRestore() error {
	why, err := a.book.NoticeRestore(a.ctx)
	if err != nil {
		return err
	}
	if why != "" {
		if err := jobs.ForgetWorkers(a.ctx, a.db); err != nil {
			return err
		}
		a.log.Error("this database is a restored copy, or another server took over: everything is stopped until people have compared it with the gateway; see payrun check", "noticed", why)
	}
	return nil
}

// restores checks that a restored copy would be noticed, and that none waits
// for people.
func (k *checking) restores() (string, error) {
	if _, err := k.book.NoticeRestore(k.ctx); err != nil { // the case tells what it noticed
		return "", err
	}
	cases, err := k.book.Exceptions(k.ctx)
	if err != nil {
		return "", err
	}
	for _, e := range cases {
		if e.Kind == ledger.ExceptionRestored {
			return "", fmt.Errorf("%w: %s; %s", errRestored, e.Detail, e.NextStep)
		}
	}
	origin, err := k.book.Origin(k.ctx)
	if err != nil {
		return "", err
	}
	words := fmt.Sprintf("a restored copy would be noticed: generation %d, also kept in %s", origin.Generation, k.config.GenerationFile)
	switch {
	case k.db.Path() != "":
	case origin.Cluster == "":
		words += "; WARNING: not by a takeover of a standby, since this role may not ask for it: " +
			"GRANT EXECUTE ON FUNCTION pg_control_system, pg_current_wal_lsn, pg_walfile_name TO its role"
	default:
		words += fmt.Sprintf(", cluster %s on timeline %d", origin.Cluster, origin.Timeline)
	}
	if until := origin.RestoredAt.Add(k.config.AskAfterRestore); origin.RestoredAt > 0 && until.Time().After(time.Now()) {
		words += "; until " + k.localTime(until) + " the gateway is asked about each payout before it is sent"
	}
	return words, nil
}

var errRestored = errors.New("everything is stopped after a restore")
