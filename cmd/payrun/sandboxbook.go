package main

import (
	"errors"
	"slices"
	"strings"

	"payrun/internal/money"
	"payrun/ledger"
)

// errSandboxDiffers: a payout is not what the sandbox's own book says.
var errSandboxDiffers = errors.New("the sandbox's book and ours differ: this is a bug in payrun, please report it")

// comparison is our batch beside the sandbox's own book, which shares no code
// and no data with ours.
type comparison struct {
	Paid      int            `json:"paid"`
	Twice     int            `json:"paid_twice"`
	Different int            `json:"different"`
	Sums      []comparedSums `json:"sums"`
	Example   string         `json:"example_order"`
}

type comparedSums struct {
	Currency money.Currency `json:"currency"`
	Amount   string         `json:"amount"`
	Fees     string         `json:"fees"`
	amount   money.Amount
	fees     money.Amount
}

// compareWithSandbox goes through a batch payout by payout.
func (f *flow) compareWithSandbox(batch int64) (comparison, error) {
	var c comparison
	err := f.book.EachPayout(f.ctx, batch, func(p *ledger.Payout) error {
		o, _ := f.sandbox.Order(p.OrderNo())
		if c.Example == "" {
			c.Example = p.OrderNo()
		}
		if o.Paid > 1 {
			c.Twice++
		}
		if o.Paid > 0 {
			c.Paid++
			c.add(p.Currency, o.PaidAmount, o.Fee)
		}
		if (o.Paid > 0) != (p.State == ledger.Succeeded) || o.Paid > 0 && (o.PaidAmount != p.Amount || o.Fee != p.Fee) {
			c.Different++
		}
		return nil
	})
	for i, s := range c.Sums {
		c.Sums[i].Amount, c.Sums[i].Fees = decimal(s.amount, s.Currency), decimal(s.fees, s.Currency)
	}
	return c, err
}

func (c *comparison) add(currency money.Currency, amount, fees money.Amount) {
	i := slices.IndexFunc(c.Sums, func(s comparedSums) bool { return s.Currency == currency })
	if i < 0 {
		i = len(c.Sums)
		c.Sums = append(c.Sums, comparedSums{Currency: currency})
	}
	c.Sums[i].amount += amount
	c.Sums[i].fees += fees
}

func (c comparison) words() string {
	if len(c.Sums) == 0 {
		return "nothing paid"
	}
	parts := make([]string, len(c.Sums))
	for i, s := range c.Sums {
		parts[i] = amount(s.amount, s.Currency) + ", fees " + amount(s.fees, s.Currency)
	}
	return strings.Join(parts, "; ")
}

// sumUp prints the totals beside the sandbox's own book.
func (f *flow) sumUp(batch int64, workbook string) error {
	progress, err := f.book.Progress(f.ctx, batch)
	if err != nil {
		return err
	}
	theirs, err := f.compareWithSandbox(batch)
	if err != nil {
		return err
	}
	err = f.show(map[string]any{"batch": batch, "progress": views(progress, viewProgress), "sandbox": theirs, "workbook": workbook}, func() {
		f.sayf("")
		f.printProgress(progress)
		f.printComparison(theirs)
		f.sayf("Workbook: %s", workbook)
		f.sayf("\nTry next:\n"+
			"  payrun batch show %-26d what happened, by state\n"+
			"  payrun payout show %-25s one payout's whole story\n"+
			"  payrun verify %-30s check every promise of the ledger", batch, theirs.Example, "")
		f.sayf("From the source folder, payrun is: go run ./cmd/payrun")
	})
	if theirs.Twice+theirs.Different > 0 {
		err = errSandboxDiffers
	}
	return err
}

func (f *flow) printComparison(c comparison) {
	if c.Twice+c.Different > 0 {
		f.sayf("\nThe sandbox's own book DIFFERS: %s paid twice, %s not as ours.", count(c.Twice), count(c.Different))
		return
	}
	f.sayf("\nThe sandbox's own book agrees, payout by payout:\n%s paid, %s. Paid twice: 0.", count(c.Paid), c.words())
}
