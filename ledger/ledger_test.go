package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"payrun/internal/database"
	"payrun/internal/database/dbtest"
	"payrun/internal/money"
	"payrun/ledger"
	"payrun/migrations"
)

func migrated(ctx context.Context, db *database.DB) error {
	_, err := migrations.Up(ctx, db)
	return err
}

// office is a ledger with one person per role and money to pay out.
type office struct {
	*ledger.Book
	t                           *testing.T
	db                          *database.DB
	admin, maker, checker, both ledger.User
}

const topUp money.Amount = 10_000_00

// each opens an office on both engines.
func each(t *testing.T, test func(*testing.T, *office)) {
	t.Helper()
	t.Parallel()
	dbtest.EachEngine(t, func(t *testing.T, engine string) {
		test(t, officeOn(t, engine, &realTime, nil))
	})
}

func open(t *testing.T, db *database.DB) *office {
	t.Helper()
	o := &office{Book: ledger.New(db, ledger.Config{}), t: t, db: db}
	add := func(by ledger.User, name string, roles ...ledger.Role) ledger.User {
		user, err := o.AddUser(t.Context(), by, name, roles...)
		must(t, err)
		return user
	}
	o.admin = add(ledger.User{}, "ada", ledger.Admin)
	o.maker = add(o.admin, "mia", ledger.Maker)
	o.checker = add(o.admin, "charles", ledger.Checker)
	o.both = add(o.admin, "bo", ledger.Maker, ledger.Checker)
	must(t, o.Fund(t.Context(), o.admin, topUp, "USD", "bank reference 1"))
	must(t, o.SetGatewayBalance(t.Context(), "USD", topUp, ledger.AllCommitted))
	for _, channel := range []string{"11", "16"} {
		must(t, o.SetLimits(t.Context(), []ledger.Limit{{
			Channel: channel, Currency: "USD", Minimum: 1, Maximum: 5_000_00, Source: ledger.FromGateway,
		}}))
	}
	return o
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sheet makes n payouts of 10.00 + 0.50 fee, named so that sheets differ.
func sheet(name string, n int) []ledger.NewPayout {
	rows := make([]ledger.NewPayout, n)
	for i := range rows {
		rows[i] = ledger.NewPayout{
			Sheet: "Payouts", Row: int64(i + 2), Reference: fmt.Sprint(name, "-", i+1), Channel: []string{"11", "16"}[i%2],
			Account: fmt.Sprintf("P1%06d", i), Amount: 10_00, Currency: "USD", FeeEstimate: 50,
		}
	}
	return rows
}

func (o *office) imported(name string, rows []ledger.NewPayout) ledger.Batch {
	o.t.Helper()
	s, err := o.Stage(o.t.Context(), o.maker, name, "acct@example.com")
	must(o.t, err)
	must(o.t, s.Add(o.t.Context(), rows))
	n := int64(len(rows))
	batch, err := s.Publish(o.t.Context(), ledger.Counts{SourceDigest: name, Read: n, Accepted: n})
	must(o.t, err)
	return batch
}

func (o *office) approved(name string, rows []ledger.NewPayout) ledger.Batch {
	o.t.Helper()
	batch := o.imported(name, rows)
	must(o.t, o.Submit(o.t.Context(), o.maker, batch.ID))
	must(o.t, o.Approve(o.t.Context(), o.checker, batch.ID))
	return batch
}

func order(max int) ledger.ClaimOrder {
	return ledger.ClaimOrder{
		Worker: "w1", Max: max, Channels: []string{"11", "16"}, Patience: 2 * time.Second,
		CallTimeout: 30 * time.Second, LimitsAge: 5 * time.Minute,
	}
}

func (o *office) claim(max int) []ledger.Claim {
	o.t.Helper()
	claimed, err := o.Claim(o.t.Context(), order(max))
	must(o.t, err)
	return claimed.Claims
}

// answered is the finding for a claim that the gateway answered.
func answered(c ledger.Claim, to ledger.State, reason ledger.Reason) ledger.Finding {
	return ledger.Finding{
		PayoutID: c.ID, AttemptID: c.AttemptID, From: ledger.Sending, To: to, Reason: reason,
		Evidence: &ledger.Evidence{Kind: ledger.EvidenceCreate, Heard: "accepted", HTTPStatus: 200, Code: "1", Status: "1", Digest: "d"},
		Fee:      50, FeeKnown: true, NextLookup: time.Minute,
	}
}

// record returns how many of the findings took effect.
func (o *office) record(findings ...ledger.Finding) int {
	o.t.Helper()
	n, err := o.Record(o.t.Context(), "worker:w1", findings)
	must(o.t, err)
	return n
}

func (o *office) usd() ledger.Balances {
	o.t.Helper()
	all, err := o.Balances(o.t.Context())
	must(o.t, err)
	return all[0]
}

// sound fails the test when any promise of the ledger is broken.
func (o *office) sound() {
	o.t.Helper()
	checks, breaches, err := o.Verify(o.t.Context())
	must(o.t, err)
	if len(checks) < 15 {
		o.t.Errorf("only %d checks were made", len(checks))
	}
	for _, b := range breaches {
		o.t.Errorf("%s: %s: %s", b.Check, b.Row, b.Wrong)
	}
}

func TestAPayoutGoesAllTheWay(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		batch := o.approved("november", sheet("a", 5))
		if got := o.usd(); got.Held != 52_50 || got.Available != topUp-52_50 {
			t.Fatalf("after approval: %+v", got)
		}
		claims := o.claim(10)
		if len(claims) != 5 {
			t.Fatalf("claimed %d payouts", len(claims))
		}
		ends := []struct {
			to     ledger.State
			reason ledger.Reason
		}{
			{ledger.Succeeded, ledger.BySuccess}, {ledger.Failed, ledger.ByFailure}, {ledger.FailedFee, ledger.ByKeptFee},
			{ledger.Accepted, ledger.ByAcceptance}, {ledger.Unknown, ledger.ByDoubt},
		}
		findings := make([]ledger.Finding, len(ends))
		for i, end := range ends {
			findings[i] = answered(claims[i], end.to, end.reason)
		}
		if n := o.record(findings...); n != 5 {
			t.Fatalf("%d findings took effect", n)
		}
		want := ledger.Balances{Currency: "USD", Funding: -topUp, Available: topUp - 52_50 + 10_50 + 10_00, Held: 21_00, Paid: 10_00, Fees: 1_00}
		if got := o.usd(); got != want {
			t.Errorf("balances %+v, want %+v", got, want)
		}
		o.sound()

		if n := o.record(findings...); n != 0 {
			t.Errorf("%d findings took effect twice", n)
		}
		p, steps, err := o.Story(t.Context(), claims[0].OrderNo())
		must(t, err)
		const told = 8 + 1 // the answer that came twice is kept twice
		if p.State != ledger.Succeeded || len(steps) != told {
			t.Errorf("story of %s in state %s has %d steps: %v", p.OrderNo(), p.State, len(steps), steps)
		}
		if _, err := o.CloseDay(t.Context(), "user:ada"); err != nil {
			t.Error(err)
		}
		progress, err := o.Progress(t.Context(), batch.ID)
		must(t, err)
		if len(progress) != 5 {
			t.Errorf("progress %v", progress)
		}
		o.sound()
	})
}

func TestNobodyApprovesTheirOwn(t *testing.T) {
	each(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		mine := o.imported("mine", sheet("m", 1))
		if err := o.Submit(ctx, o.checker, mine.ID); !errors.Is(err, ledger.ErrForbidden) {
			t.Errorf("a checker submitted: %v", err)
		}
		must(t, o.Submit(ctx, o.both, mine.ID))
		for name, by := range map[string]ledger.User{"maker": o.maker, "submitter with the checker role": o.both, "admin": o.admin} {
			if err := o.Approve(ctx, by, mine.ID); !errors.Is(err, ledger.ErrForbidden) {
				t.Errorf("%s approved: %v", name, err)
			}
		}
		must(t, o.Approve(ctx, o.checker, mine.ID))
		if err := o.Approve(ctx, o.checker, mine.ID); !errors.Is(err, ledger.ErrConflict) {
			t.Errorf("approved twice: %v", err)
		}
		o.sound()
	})
}
