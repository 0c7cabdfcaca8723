package importers_test

import (
	"context"
	"fmt"

	"payrun/importers"
	"payrun/internal/money"
)

// printer is a sink that prints the first problems.
type printer struct{}

func (printer) Rows([]importers.Row) error { return nil }

func (printer) Problems(problems []importers.Problem) error {
	for _, p := range problems[:2] {
		fmt.Println(p)
	}
	return nil
}

func ExampleRead() {
	result, err := importers.Read(context.Background(), "../examples/payouts.xlsx", importers.Rules{}, printer{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%d payouts, %d rows rejected\n", result.Accepted, result.Rejected)
	for _, total := range result.Totals {
		fmt.Printf("channel %s: %s %s\n", total.Channel, money.Format(total.Amount, total.Currency), total.Currency)
	}
	// Output:
	// sheet Payouts, row 27, column E (Amount): The amount is zero. Write what is to be paid, or delete the row.
	// sheet Payouts, row 62, column D (Wallet number): This Perfect Money wallet is for EUR, but the row pays USD. It must be a capital U followed by digits.
	// 194 payouts, 6 rows rejected
	// channel 11: 35972.67 USD
	// channel 12: 38902.95 USD
	// channel 16: 39221.05 USD
	// channel 18: 34952.08 USD
}
