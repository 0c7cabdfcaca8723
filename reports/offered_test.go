package reports_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"payrun/internal/database"
	"payrun/ledger"
	"payrun/reports"
)

func TestAReportIsOneSnapshot(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		const n = 300
		o.approved("live", sheet("live", n))
		working, stop := make(chan error, 1), make(chan struct{})
		go func() {
			defer close(stop)
			for {
				claimed, err := o.Claim(context.WithoutCancel(t.Context()), ledger.ClaimOrder{
					Worker: "w1", Max: 5, Channels: []string{"11", "12", "16"}, Patience: time.Minute, CallTimeout: time.Minute, LimitsAge: time.Hour,
				})
				if err != nil || len(claimed.Claims) == 0 {
					working <- err
					return
				}
				findings := make([]ledger.Finding, len(claimed.Claims))
				for i, c := range claimed.Claims {
					findings[i] = ends[i%len(ends)].finding(c)
				}
				if _, err := o.Record(context.WithoutCancel(t.Context()), "worker:w1", findings); err != nil {
					working <- err
					return
				}
			}
		}()
		made := 0
		for done := false; !done; made++ {
			select {
			case <-stop:
				done = true
			default:
			}
			if _, summary := o.workbook(reports.Filter{}); summary.Payouts != n {
				t.Fatalf("%d payouts in a report made while others worked", summary.Payouts)
			}
		}
		must(t, <-working)
		t.Logf("%d reports", made)
	})
}

func TestTheFileIsPrivateAndReplacesTheOldOne(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		must(t, os.WriteFile(o.path("report.xlsx"), []byte("old"), 0o644))
		path, _ := o.workbook(reports.Filter{})
		info, err := os.Stat(path)
		must(t, err)
		if info.Mode().Perm() != 0o600 || info.Size() < 1000 {
			t.Errorf("%s, %d bytes", info.Mode(), info.Size())
		}
		o.nothingLeft("report.xlsx")
	})
}

// nothingLeft fails the test when the folder holds anything but these files.
func (o *office) nothingLeft(files ...string) {
	o.t.Helper()
	entries, err := os.ReadDir(o.folder)
	must(o.t, err)
	for _, entry := range entries {
		if !slices.Contains(files, entry.Name()) {
			o.t.Errorf("%s was left behind", entry.Name())
		}
	}
}

func TestAFileThatDisagreesWithTheLedgerIsNeverOffered(t *testing.T) {
	unguarded := map[string]string{
		database.SQLite.Name:   "DROP TRIGGER payouts_frozen",
		database.Postgres.Name: "ALTER TABLE payouts DISABLE TRIGGER payouts_frozen",
	}
	for _, tampering := range []struct{ name, statement string }{
		{"a paid amount was raised", "UPDATE payouts SET amount = amount + 1 WHERE state = 'SUCCEEDED'"},
		{"a failed payout was called paid", "UPDATE payouts SET state = 'SUCCEEDED' WHERE state = 'FAILED'"},
		{"an unsent payout was called closed", "UPDATE payouts SET state = 'CLOSED' WHERE state = 'UNSENT' AND batch_id = 1"},
		{"a fee was changed", "UPDATE payouts SET fee = fee + 1 WHERE state = 'FAILED_FEE'"},
		{"a balance was changed", "UPDATE accounts SET balance = balance + 1 WHERE kind = 'available' AND currency = 'USD'"},
		{"what is held was changed", "UPDATE accounts SET balance = balance + 1 WHERE kind = 'held' AND currency = 'USD'"},
	} {
		t.Run(tampering.name, func(t *testing.T) {
			each(t, func(t *testing.T, o *office) {
				o.busy(30)
				o.workbook(reports.Filter{})
				before, err := os.ReadFile(o.path("report.xlsx"))
				must(t, err)
				must(t, o.db.InTx(t.Context(), func(tx *database.Tx) error {
					if _, err := tx.Exec(t.Context(), unguarded[tx.Dialect.Name]); err != nil {
						return err
					}
					n, err := tx.Exec(t.Context(), tampering.statement)
					if n == 0 {
						t.Error("nothing was tampered with")
					}
					return err
				}))
				_, err = reports.Workbook(t.Context(), o.db, o.path("report.xlsx"), reports.Filter{}, options)
				if !errors.Is(err, reports.ErrMismatch) {
					t.Fatalf("error %v", err)
				}
				after, err := os.ReadFile(o.path("report.xlsx"))
				must(t, err)
				if !bytes.Equal(before, after) {
					t.Error("the older report was touched")
				}
				o.nothingLeft("report.xlsx")
			})
		})
	}
}

func TestAnInterruptedReportLeavesNothing(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.busy(30)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := reports.Workbook(ctx, o.db, o.path("report.xlsx"), reports.Filter{}, options); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		o.nothingLeft()
		if _, err := reports.CSV(t.Context(), o.db, o.path("no/such/folder.csv"), reports.Filter{}, options); err == nil {
			t.Error("a report was written into a folder that is not there")
		}
	})
}

// correct has two people say that a payout came back, and returns the number
// of the proposal.
func (o *office) correct(order string) int64 {
	o.t.Helper()
	ctx := o.t.Context()
	proposal, err := o.Propose(ctx, o.maker, order, ledger.Proposal{
		Outcome: ledger.OutcomeFailed, Reason: "came back", Evidence: "line 7", FileName: "statement.pdf", FileDigest: strings.Repeat("ab", 32),
	})
	must(o.t, err)
	must(o.t, o.Confirm(ctx, o.checker, proposal))
	return proposal
}

func TestACorrectedPayoutShowsTheFeeThatStayedWithTheGateway(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		o.busy(60)
		var corrected ledger.Payout
		for _, p := range o.payouts() {
			if p.State == ledger.Succeeded && p.FeeKnown == 1 {
				corrected = p
			}
		}
		o.correct(corrected.OrderNo())
		path, _ := o.workbook(reports.Filter{})
		o.workbook(reports.Filter{Batch: 1})
		for _, line := range table(cells(t, path, "Payouts")) {
			if line["Order number"] == corrected.OrderNo() &&
				(line["Status"] != "FAILED" || line["Fee"] != number(41, corrected.Currency) || line["Fee is"] != "corrected") {
				t.Errorf("corrected payout: %v", line)
			}
		}
		var corrections int
		for _, line := range table(cells(t, path, "Journal")) {
			if line["Corrects entry"] != "" {
				corrections++
			}
		}
		if corrections != 2 {
			t.Errorf("%d lines of corrections in the journal", corrections)
		}
	})
}
