package importers

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os"

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

func newRepeats(folder string) *repeats {
	return &repeats{maphash.MakeSeed(), rowTable{folder: folder}, rowTable{folder: folder}}
}

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

// fault is what went wrong with the tables' files; what was found since then
// is not to be trusted.
func (s *repeats) fault() error { return errors.Join(s.references.fault, s.payees.fault) }

// close gives the tables' memory and files back.
func (s *repeats) close() error {
	return errors.Join(s.references.close(), s.payees.close())
}

// rowTable maps hashes to the row where each was first seen, in eight bytes a
// slot. A table that is full is kept and a larger one added, so that nothing
// is ever moved: a move would need both. The large ones are files, so that a
// million rows take no more memory than fifty thousand.
type rowTable struct {
	folder string // of the files
	parts  []rowSlots
	free   int   // slots that the newest part may still fill
	fault  error // the first one; from then on nothing is found
}

// rowSlots is an open-addressed table. A slot holds the upper bits of a hash
// and a row, which is never 0; the lower bits say where to begin to look.
type rowSlots interface {
	// from returns the slots from one on, some or all up to the last one. They
	// are good until the next call.
	from(slot int) ([]byte, error)
	set(slot int, note uint64) error
	len() int
	close() error
}

const (
	slotBytes    = 8
	rowBits      = 24 // a sheet has fewer rows
	firstPart    = 1 << 11
	growth       = 4
	largestInRAM = 1 << 17 // of the parts, in slots: enough for 128,000 rows
)

// first returns the row that had the hash first, or notes this one and
// returns 0.
func (t *rowTable) first(hash uint64, row int) int {
	if t.fault != nil {
		return 0
	}
	slot := 0 // in the newest part, when the loop is through
	for _, part := range t.parts {
		var note uint64
		if slot, note, t.fault = find(part, hash); note != 0 || t.fault != nil {
			return int(note & (1<<rowBits - 1))
		}
	}
	if t.free == 0 {
		if t.fault = t.grow(); t.fault != nil {
			return 0
		}
		slot = home(t.newest(), hash)
	}
	t.fault = t.newest().set(slot, hash>>rowBits<<rowBits|uint64(min(row, 1<<rowBits-1)))
	t.free--
	return 0
}

func (t *rowTable) newest() rowSlots { return t.parts[len(t.parts)-1] }

func (t *rowTable) grow() error {
	size := firstPart
	if len(t.parts) > 0 {
		size = growth * t.newest().len()
	}
	part, err := newSlots(size, t.folder)
	if err != nil {
		return fmt.Errorf("look for repeated rows: %w", err)
	}
	t.parts = append(t.parts, part)
	t.free = size / 4 * 3
	return nil
}

func newSlots(size int, folder string) (rowSlots, error) {
	if size <= largestInRAM {
		return slotsInRAM(outside(size * slotBytes)), nil
	}
	return newSlotsInFile(size, folder)
}

func (t *rowTable) close() error {
	var failed error
	for _, part := range t.parts {
		failed = errors.Join(failed, part.close())
	}
	t.parts, t.free = nil, 0
	return failed
}

// home is where a hash begins to look for its slot.
func home(slots rowSlots, hash uint64) int { return int(hash) & (slots.len() - 1) }

// find returns the slot that has the hash and what it holds, or the free one
// for it and 0.
func find(slots rowSlots, hash uint64) (slot int, note uint64, err error) {
	for slot = home(slots, hash); ; slot &= slots.len() - 1 {
		some, err := slots.from(slot)
		if err != nil {
			return 0, 0, err
		}
		for ; len(some) >= slotBytes; some = some[slotBytes:] {
			if note = binary.NativeEndian.Uint64(some); note == 0 || note>>rowBits == hash>>rowBits {
				return slot, note, nil
			}
			slot++
		}
	}
}

// slotsInRAM are outside of Go's heap.
type slotsInRAM []byte

func (s slotsInRAM) from(slot int) ([]byte, error) { return s[slot*slotBytes:], nil }
func (s slotsInRAM) len() int                      { return len(s) / slotBytes }

func (s slotsInRAM) set(slot int, note uint64) error {
	binary.NativeEndian.PutUint64(s[slot*slotBytes:], note)
	return nil
}

func (s slotsInRAM) close() error {
	release(s)
	return nil
}

// slotsInFile are in a file that has no name, so that nothing is left of it
// whatever becomes of the process.
type slotsInFile struct {
	file *os.File
	size int
	some [16 * slotBytes]byte // longer runs of taken slots are rare
}

func newSlotsInFile(size int, folder string) (*slotsInFile, error) {
	file, err := os.CreateTemp(folder, "payrun-repeats-")
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.Remove(file.Name()), file.Truncate(int64(size)*slotBytes)); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &slotsInFile{file: file, size: size}, nil
}

func (s *slotsInFile) from(slot int) ([]byte, error) {
	n, err := s.file.ReadAt(s.some[:], int64(slot)*slotBytes)
	if err == io.EOF && n > 0 { // the last ones
		err = nil
	}
	return s.some[:n], err
}

func (s *slotsInFile) set(slot int, note uint64) error {
	var bytes [slotBytes]byte
	binary.NativeEndian.PutUint64(bytes[:], note)
	_, err := s.file.WriteAt(bytes[:], int64(slot)*slotBytes)
	return err
}

func (s *slotsInFile) len() int     { return s.size }
func (s *slotsInFile) close() error { return s.file.Close() }
