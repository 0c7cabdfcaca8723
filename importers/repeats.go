package importers

import (
	"hash/maphash"

	"payrun/internal/money"
)

// repeats remembers which references and which payee-and-amount pairs a file
// has had, by 64-bit hash: keeping the texts would hold the whole file in
// memory. Two different keys collide in about one file of 50,000 rows in ten
// billion, and all that happens then is that a person looks at a row.
type repeats struct {
	seed       maphash.Seed
	references map[uint64]int32 // hash to row
	payees     map[uint64]int32
}

func newRepeats() *repeats {
	return &repeats{maphash.MakeSeed(), map[uint64]int32{}, map[uint64]int32{}}
}

// reference returns the earlier row with the same reference, 0 for none.
func (s *repeats) reference(text string, row int) int {
	return firstSeen(s.references, maphash.String(s.seed, text), row)
}

// payee returns the earlier row that pays the same amount to the same
// account, 0 for none.
func (s *repeats) payee(payout Row) int {
	key := struct {
		channel, account string
		currency         money.Currency
		amount           money.Amount
	}{payout.Channel, payout.Account, payout.Currency, payout.Amount}
	return firstSeen(s.payees, maphash.Comparable(s.seed, key), payout.Number)
}

func firstSeen(seen map[uint64]int32, hash uint64, row int) int {
	if first, ok := seen[hash]; ok {
		return int(first)
	}
	seen[hash] = int32(row)
	return 0
}
