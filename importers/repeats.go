package importers

import (
	"encoding/binary"
	"hash/maphash"

	"payrun/internal/money"
)

// repeats remembers which references and which payee-and-amount pairs a file
// has had, by hash: keeping the texts would hold the whole file in memory.
// What is compared of a hash makes two different keys look alike in about one
// file of 50,000 rows in a million, and all that happens then is that a person
// looks at a row.
type repeats struct {
	seed       maphash.Seed
	references rowTable
	payees     rowTable
}

func newRepeats() *repeats { return &repeats{seed: maphash.MakeSeed()} }

// reference returns the earlier row with the same reference, 0 for none.
func (s *repeats) reference(text string, row int) int {
	return s.references.first(maphash.String(s.seed, text), row)
}

// payee returns the earlier row that pays the same amount to the same
// account, 0 for none.
func (s *repeats) payee(payout Row) int {
	key := struct {
		channel, account string
		currency         money.Currency
		amount           money.Amount
	}{payout.Channel, payout.Account, payout.Currency, payout.Amount}
	return s.payees.first(maphash.Comparable(s.seed, key), payout.Number)
}

// close gives the tables' memory back.
func (s *repeats) close() {
	s.references.close()
	s.payees.close()
}

// rowTable maps hashes to the row where each was first seen, in eight bytes a
// slot. A table that is full is kept and a larger one added, so that nothing
// is ever moved: a move would need both in memory.
type rowTable struct {
	parts []rowSlots
	free  int // slots that the newest part may still fill
}

// rowSlots is an open-addressed table outside of Go's heap. A slot holds the
// upper bits of a hash and a row, which is never 0; the lower bits say where to
// begin to look.
type rowSlots []byte

const (
	slotBytes = 8
	rowBits   = 24 // a sheet has fewer rows
	firstPart = 1 << 10
	growth    = 4
)

// first returns the row that had the hash first, or notes this one and
// returns 0.
func (t *rowTable) first(hash uint64, row int) int {
	for _, slots := range t.parts {
		if at, found := slots.find(hash); found {
			return int(slots.at(at) & (1<<rowBits - 1))
		}
	}
	if t.free == 0 {
		size := firstPart
		if n := len(t.parts); n > 0 {
			size = growth * t.parts[n-1].len()
		}
		t.parts = append(t.parts, outside(size*slotBytes))
		t.free = size / 4 * 3
	}
	newest := t.parts[len(t.parts)-1]
	at, _ := newest.find(hash)
	newest.set(at, hash>>rowBits<<rowBits|uint64(min(row, 1<<rowBits-1)))
	t.free--
	return 0
}

func (t *rowTable) close() {
	for _, part := range t.parts {
		release(part)
	}
	*t = rowTable{}
}

func (s rowSlots) len() int                  { return len(s) / slotBytes }
func (s rowSlots) at(slot int) uint64        { return binary.NativeEndian.Uint64(s[slot*slotBytes:]) }
func (s rowSlots) set(slot int, note uint64) { binary.NativeEndian.PutUint64(s[slot*slotBytes:], note) }

// find returns the slot that holds the hash, or the free one for it.
func (s rowSlots) find(hash uint64) (at int, found bool) {
	mask := s.len() - 1
	for at = int(hash) & mask; ; at = (at + 1) & mask {
		switch note := s.at(at); {
		case note == 0:
			return at, false
		case note>>rowBits == hash>>rowBits:
			return at, true
		}
	}
}
