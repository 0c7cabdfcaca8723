package main

import (
	"path/filepath"
	"testing"
)

// handedIn hands a sheet in and approves it, as the batch of this number.
func (b *payer) handedIn(batch string, rows ...string) {
	b.t.Helper()
	b.as(b.maker).must("run", b.sheet(rows...))
	b.as(b.checker).must("batch", "approve", batch)
}

// ended sends and follows until every payout of the batches is paid.
func (b *payer) ended(batches ...int) {
	b.t.Helper()
	b.must("job", "run", "disburse")
	eventually(b.t, "all are paid", func() bool {
		b.must("job", "run", "track")
		for _, batch := range batches {
			if s := b.states(batch); len(s) != 1 || s["SUCCEEDED"] == 0 {
				return false
			}
		}
		return true
	})
}

// What was paid after the copy was made looks unsent in it, or is imported
// again; the gateway would pay all of it a second time.
func TestARestoredBackupPaysEachOnce(t *testing.T) {
	t.Parallel()
	b := newPayer(t)
	rows := goodRows(8)
	b.handedIn("1", rows[:1]...) // an order that the gateway knows, to ask about
	b.must("check").says("Ready.")
	b.ended(1)
	b.handedIn("2", rows[1:4]...) // approved in the copy
	copied := filepath.Join(t.TempDir(), "copy.db")
	b.must("backup", copied)
	b.ended(2)
	b.handedIn("3", rows[4:6]...) // not in the copy
	b.ended(3)

	b.restore(copied)
	b.must("job", "run", "disburse").says("0 sent")
	b.as(b.admin).must("restored", "--reason", "the disk died")
	b.handedIn("3", rows[4:6]...) // the same sheet again
	b.handedIn("4", rows[6:8]...) // one that was never paid
	b.as(b.checker).must("stop", "lift", "everything")
	b.ended(1, 2, 3, 4)

	for no, order := range b.gateway.Book().Orders {
		if order.Creates != 1 || order.Paid != 1 {
			t.Errorf("%s: asked to pay %d times, paid %d times", no, order.Creates, order.Paid)
		}
	}
	if n := b.creates(); n != len(rows) {
		t.Errorf("%d creates, want %d", n, len(rows))
	}
	b.must("verify")
}
