package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"syscall"
	"time"

	"payrun/internal/database"
	"payrun/internal/sandbox"
	"payrun/ledger"
)

// todo is something that happens at a moment.
type todo struct {
	at time.Duration
	do func() error
}

// live plays the script, then lets everything come to an end and tells the
// workers to stop.
func (in *installation) live(s script) error {
	if err := in.setFaults(s.faults); err != nil {
		return err
	}
	for i := range in.workers {
		if err := in.startWorker(i); err != nil {
			return err
		}
	}
	if err := in.play(s); err != nil {
		return err
	}
	if err := in.setFaults(sandbox.Faults{}); err != nil {
		return err
	}
	if err := in.drain(); err != nil {
		return err
	}
	for _, w := range in.workers {
		if err := w.finish(20 * time.Second); err != nil {
			return err
		}
	}
	return nil
}

// play does what the script says, each scene and its end in order, and in
// between what a service manager and a checker do.
func (in *installation) play(s script) error {
	var todos []todo
	later := func(at time.Duration, do func() error) {
		i, _ := slices.BinarySearchFunc(todos, at, func(t todo, at time.Duration) int { return cmp.Compare(t.at, at) })
		todos = slices.Insert(todos, i, todo{at, do})
	}
	for _, scene := range s.scenes {
		later(scene.at, func() error { return in.begin(scene, s, later) })
	}
	began, lifted := time.Now(), time.Now()
	for len(todos) > 0 || time.Since(began) < s.storm {
		if err := in.pause(20 * time.Millisecond); err != nil {
			return err
		}
		for len(todos) > 0 && todos[0].at <= time.Since(began) {
			next := todos[0]
			todos = todos[1:]
			if err := next.do(); err != nil {
				return err
			}
		}
		if err := in.supervise(); err != nil {
			return err
		}
		if time.Since(lifted) > 3*time.Second {
			if err := in.liftStops(); err != nil {
				return err
			}
			lifted = time.Now()
		}
	}
	return nil
}

// begin plays one scene; how it ends is put on the list.
func (in *installation) begin(s scene, all script, later func(time.Duration, func() error)) error {
	in.tell("%6s %s", s.at.Round(time.Millisecond), s)
	end := s.at + s.lasts
	w := in.workers[s.worker]
	switch s.act {
	case killWorker:
		in.counts.kills++
		in.away[s.worker]++
		w.kill()
		later(end, func() error { in.away[s.worker]--; return nil })
	case stallWorker, pauseWorker:
		if s.act == stallWorker {
			in.counts.stalls++
		} else {
			in.counts.pauses++
		}
		in.still[s.worker]++
		w.signal(syscall.SIGSTOP)
		later(end, func() error {
			if in.still[s.worker]--; in.still[s.worker] == 0 {
				in.workers[s.worker].signal(syscall.SIGCONT)
			}
			return nil
		})
	case restartDatabase:
		in.counts.databases++
		return in.postgres.kill()
	case restartGateway:
		in.counts.gateways++
		in.gateway.kill()
		later(end, func() error {
			if in.gateway.running() {
				return nil // another scene started it
			}
			if err := in.startGateway(); err != nil {
				return err
			}
			return in.setFaults(all.faults)
		})
	case fillDisk:
		return in.full(end, later)
	case channelOutage:
		in.counts.outages++
		broken := all.faults
		broken.Rules = append([]sandbox.Fault{s.outage()}, broken.Rules...)
		return in.trySetFaults(broken)
	}
	return nil
}

// tell says what happens to those who want to know.
func (in *installation) tell(format string, arguments ...any) {
	if in.verbose {
		fmt.Printf("chaos: "+format+"\n", arguments...)
	}
}

// full fills PostgreSQL's disk for a while.
func (in *installation) full(until time.Duration, later func(time.Duration, func() error)) error {
	if in.postgres.disk == "" || in.postgres.full {
		return nil
	}
	in.counts.disks++
	later(until, in.postgres.empty)
	return in.postgres.fill()
}

// supervise does what a service manager does: it starts again whatever was
// killed, and whatever ended by itself.
func (in *installation) supervise() error {
	if !in.postgres.full && !in.postgres.running() {
		if err := in.postgres.start(); err != nil {
			return err
		}
	}
	for i, w := range in.workers {
		if in.away[i] > 0 || w.running() || time.Since(in.started[i]) < time.Second {
			continue
		}
		if !w.killed {
			in.counts.gaveUp++
			in.counts.why = w.lastWords()
		}
		if err := in.startWorker(i); err != nil {
			return err
		}
	}
	return nil
}

func (in *installation) setFaults(f sandbox.Faults) error {
	_, err := in.ask("POST", "/sandbox/faults", f)
	return err
}

// trySetFaults is setFaults unless the gateway is away: then it has none.
func (in *installation) trySetFaults(f sandbox.Faults) error {
	if !in.gateway.running() {
		return nil
	}
	return in.setFaults(f)
}

// drain waits until only people can do more.
func (in *installation) drain() error {
	deadline := time.Now().Add(in.patience)
	for {
		if err := in.pause(time.Second); err != nil {
			return err
		}
		if err := in.supervise(); err != nil {
			return err
		}
		if err := in.liftStops(); err != nil {
			return err
		}
		open, err := in.unsettled()
		if err == nil && open == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			fmt.Printf("chaos: %d payouts are still on their way after %s (%v)\n", open, in.patience, err)
			return nil // the verdict says what is wrong with each
		}
	}
}

// unsettled counts the payouts that somebody but people still works on.
func (in *installation) unsettled() (open int, err error) {
	theirs, err := in.book()
	if err != nil {
		return 0, err
	}
	err = in.eachPayout(func(p *ledger.Payout) error {
		if !p.State.Final() && !in.leftToPeople(p, theirs.Orders[p.OrderNo()]) {
			open++
		}
		return nil
	})
	return open, err
}

// leftToPeople: no look-up will ever find anything, and nothing more is sent
// without people.
func (in *installation) leftToPeople(p *ledger.Payout, order sandbox.Order) bool {
	absent := p.State == ledger.Unknown && order.Accepted == 0 && p.Lookups >= 3
	return absent && in.resend == manual || p.State == ledger.Review || p.Blocked != ""
}

// mostAttempts is how often a payout is sent at all: often enough that kills
// alone never use them up.
const mostAttempts = 9

// eachPayout reads the ledger as its own program would.
func (in *installation) eachPayout(f func(*ledger.Payout) error) error {
	db, err := database.Open(in.ctx, database.Config{URL: in.postgres.address, MaxConnections: 4})
	if err != nil {
		return err
	}
	defer db.Close()
	return ledger.New(db, ledger.Config{}).EachPayout(context.WithoutCancel(in.ctx), in.batch, f)
}

// book is the gateway's own.
func (in *installation) book() (sandbox.Book, error) {
	var book sandbox.Book
	text, err := in.ask("GET", "/sandbox/book", nil)
	if err != nil {
		return book, err
	}
	return book, json.Unmarshal(text, &book)
}
