package importers

import (
	"hash/maphash"
	"math/bits"

	"payrun/internal/money"
)

// repeats remembers which references and which payee-and-amount pairs a file
// has had. It keeps hashes: the texts would hold the whole file in memory.
type repeats struct {
	seed       maphash.Seed
	references rowTable
	payees     rowTable
}

func newRepeats() *repeats { return &repeats{seed: maphash.MakeSeed()} }

// reference returns the earlier row with the same reference, 0 for none.
func (s *repeats) reference(text string, row int) int {
	return s.references.firstRow(maphash.String(s.seed, text), row)
}

// payee returns the earlier row that pays the same amount to the same
// account, 0 for none.
func (s *repeats) payee(payout Row) int {
	key := struct {
		channel, account string
		currency         money.Currency
		amount           money.Amount
	}{payout.Channel, payout.Account, payout.Currency, payout.Amount}
	return s.payees.firstRow(maphash.Comparable(s.seed, key), payout.Number)
}

// rowTable maps hashes to the row that had them first, in 8 bytes a slot: a
// slot holds the low 40 bits of the hash and a row number of 24 bits, and 0
// is a free slot. The high bits of the hash say where to look first.
//
// Two different keys are only taken for one if they agree in 40 bits and meet
// in one run of slots, for a sheet of 50,000 rows about once in ten million
// sheets, and all that happens then is that a person looks at a row.
type rowTable struct {
	slots []uint64
	used  int
}

const (
	rowBits = 24 // enough for the 1,048,576 rows of a workbook, and for longer csv files
	rowMask = 1<<rowBits - 1
)

// firstRow returns the row that was put in with the same hash, or puts in
// this one and returns 0. Rows from 2^24 on are not remembered.
func (t *rowTable) firstRow(hash uint64, row int) int {
	if row > rowMask {
		return 0
	}
	if t.used >= len(t.slots)*4/5 {
		t.grow()
	}
	if first := t.put(hash, row); first > 0 {
		return first
	}
	t.used++
	return 0
}

func (t *rowTable) put(hash uint64, row int) int {
	high, _ := bits.Mul64(hash, uint64(len(t.slots)))
	for at := int(high); ; at++ {
		if at == len(t.slots) {
			at = 0
		}
		switch slot := t.slots[at]; {
		case slot == 0:
			t.slots[at] = hash<<rowBits | uint64(row)
			return 0
		case slot>>rowBits == hash<<rowBits>>rowBits:
			return int(slot & rowMask)
		}
	}
}
