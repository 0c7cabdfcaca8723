package jobs_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"payrun/internal/sandbox"
	"payrun/jobs"
	"payrun/ledger"
)

// A stop is no trouble: what was claimed and not sent goes back.
func TestAStopGivesClaimsBack(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		const n = 40
		batch := s.approved(s.sheet(n))
		s.engine.InFlight, s.engine.Rate = 16, jobs.Rate{CallsPerSecond: 20, LookupPercent: 50}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s.door.onCreate(func() { cancel() })
		done, err := s.engine.Disburse(ctx)
		if err != nil {
			t.Errorf("a stop is reported as %v", err)
		}
		got := s.states(batch.ID)
		if got[ledger.Sending]+got[ledger.Unknown] > 0 || got[ledger.Approved]+int64(done.Sent) != n || done.Sent > n/2 {
			t.Errorf("states %v after %+v", got, done)
		}
		s.engine.Rate = jobs.Rate{LookupPercent: 50}
		s.disburse()
		s.follow(batch.ID)
		s.sound()
	})
}

// A call that is under way when the stop comes is waited for and recorded.
func TestAStopWaitsForCallsUnderWay(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		batch := s.approved(s.sheet(4))
		s.faults(sandbox.Fault{At: sandbox.Create, Kind: sandbox.FaultDelay, Wait: 200 * time.Millisecond})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s.door.onCreate(func() { cancel() })
		done, err := s.engine.Disburse(ctx)
		if err != nil || done.Accepted == 0 || done.InDoubt > 0 {
			t.Errorf("%+v, %v", done, err)
		}
		s.disburse()
		s.follow(batch.ID)
		s.sound()
	})
}

// Two to eight workers, one batch: nobody is paid twice.
func TestManyWorkersShareABatch(t *testing.T) {
	each(t, hostile(), func(t *testing.T, s *shop) {
		const n, workers = 120, 6
		batch := s.approved(s.sheet(n))
		type result struct {
			done jobs.Disbursed
			err  error
		}
		results := make(chan result)
		for i := range workers {
			worker := s.worker(fmt.Sprint("w", i))
			go func() {
				done, err := worker.Disburse(t.Context())
				results <- result{done, err}
			}()
		}
		accepted := 0
		for range workers {
			r := <-results
			if r.err != nil {
				t.Error(r.err)
			}
			accepted += r.done.Accepted
		}
		if accepted != n {
			t.Errorf("%d workers sent %d of %d", workers, accepted, n)
		}
		s.follow(batch.ID)
		s.sound()
	})
}
