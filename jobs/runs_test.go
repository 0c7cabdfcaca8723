package jobs_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"payrun/internal/database"
	"payrun/jobs"
)

// diesRunning starts a process that runs the job settle by its clock, and
// kills it in the middle of the run.
func (tt *timetable) diesRunning(worker string) {
	tt.t.Helper()
	p := start(tt.t, task{Do: "schedule", Database: tt.address, Worker: worker, Clock: tt.clock.now()})
	for line := range p.lines {
		if line == "running" {
			p.kill()
			return
		}
	}
	tt.t.Fatal("it never ran")
}

func (tt *timetable) why(job string) string {
	tt.t.Helper()
	sentences, err := jobs.Why(tt.t.Context(), tt.db, job, func(i database.Instant) string { return i.Time().Format("15:04") })
	if err != nil {
		tt.t.Fatal(err)
	}
	return strings.Join(sentences, "\n")
}

// A run whose process died is noticed, and by exactly one other process
// repeated at once, or left for the next time, as the job's policy says.
func TestARunWhoseProcessDied(t *testing.T) {
	for name, c := range map[string]struct {
		missed jobs.Missed
		runs   int
		says   string
	}{
		"run once": {jobs.RunOnce, 1, "Ran again at 13:02 on w"},
		"skip":     {jobs.SkipLate, 0, "Due next at 14:00."},
	} {
		t.Run(name, func(t *testing.T) {
			timetables(t, func(tt *timetable) {
				plan, ran := counting("settle", "0 * * * *", c.missed)
				tt.known(plan)
				tt.clock.set(noon.Add(time.Hour))
				tt.diesRunning("victim")
				tt.clock.set(tt.clock.now().Add(50 * time.Second))
				stop := tt.start("w1", plan)
				if why := tt.why("settle"); !strings.Contains(why, "Ran at 13:00 on victim, and still runs") {
					tt.t.Errorf("before its lease is over: %s", why)
				}
				stop()
				tt.clock.set(noon.Add(time.Hour + 2*time.Minute))
				for _, worker := range []string{"w2", "w3"} {
					tt.start(worker, plan)
				}
				tt.await("settle", func(s jobs.JobStatus) bool {
					return (s.Last.Outcome == "done" || c.runs == 0 && s.Last.Outcome == "lost") && strings.Contains(tt.why("settle"), c.says)
				})
				why := tt.why("settle")
				if len(ran) != c.runs || !strings.Contains(why, "Ran at 13:00 on victim: lost, worker victim stopped in the middle of it.") {
					tt.t.Errorf("%d runs: %s", len(ran), why)
				}
			})
		})
	}
}

// A job that kills its process each time must not kill them all.
func TestAJobThatKillsItsProcessesWaitsForItsNextTime(t *testing.T) {
	timetables(t, func(tt *timetable) {
		plan, ran := counting("settle", "0 * * * *", jobs.RunOnce)
		tt.known(plan)
		for i := range 3 {
			tt.clock.set(noon.Add(time.Hour + time.Duration(2*i)*time.Minute))
			tt.diesRunning("victim")
		}
		tt.clock.set(noon.Add(time.Hour + 6*time.Minute))
		stop := tt.start("w1", plan)
		tt.await("settle", func(s jobs.JobStatus) bool { return s.Last.Outcome == "lost" })
		stop()
		if len(ran) != 0 {
			tt.t.Errorf("it ran after it was lost three times: %s", tt.why("settle"))
		}
		tt.clock.set(noon.Add(2 * time.Hour))
		tt.start("w1", plan)
		if got := tt.await("settle", func(s jobs.JobStatus) bool { return s.Last.Outcome == "done" }).Last; got.Tries != 1 || len(ran) != 1 {
			tt.t.Errorf("%d runs at its next time: %+v", len(ran), got)
		}
	})
}

// A run that still goes on elsewhere is not overlapped; the instant that came
// meanwhile is kept.
func TestARunIsNotOverlapped(t *testing.T) {
	timetables(t, func(tt *timetable) {
		goOn := make(chan struct{})
		release := sync.OnceFunc(func() { close(goOn) })
		tt.t.Cleanup(release)
		long := jobs.Plan{Job: "limits", Spec: "*/5 * * * *", Missed: jobs.RunOnce, Run: func(context.Context) (string, error) {
			<-goOn
			return "at last", nil
		}}
		short, ran := counting("limits", long.Spec, jobs.RunOnce)
		tt.known(long)
		tt.clock.set(noon.Add(5 * time.Minute))
		tt.start("w1", long)
		tt.await("limits", func(s jobs.JobStatus) bool { return s.Last != nil })
		tt.exec("UPDATE job_runs SET lease_until = lease_until + 600000000") // it goes on saying that it is alive
		tt.clock.set(noon.Add(12 * time.Minute))
		stop := tt.start("w2", short)
		tt.await("limits", func(jobs.JobStatus) bool {
			return strings.Contains(tt.why("limits"), "waits for the run that began at 12:05 on w1")
		})
		stop()
		if len(ran) != 0 {
			tt.t.Error("it ran twice at a time")
		}
		release()
		tt.await("limits", finished)
		tt.start("w2", short)
		if got := tt.await("limits", func(s jobs.JobStatus) bool { return finished(s) && s.Last.Worker == "w2" }).Last; !got.DueAt.Time().Equal(noon.Add(10 * time.Minute)) {
			tt.t.Errorf("the instant that came meanwhile ran as %+v", got)
		}
	})
}

func (tt *timetable) exec(statement string) {
	tt.t.Helper()
	err := tt.db.InTx(tt.t.Context(), func(tx *database.Tx) error {
		_, err := tx.Exec(tt.t.Context(), statement)
		return err
	})
	if err != nil {
		tt.t.Fatal(err)
	}
}

// A process that was given up for dead while it stood still is told to stop,
// and does not write its end over that of whoever ran the job after it.
func TestARunThatWasGivenUpDoesNotEndTwice(t *testing.T) {
	timetables(t, func(tt *timetable) {
		began, goOn := make(chan struct{}), make(chan struct{})
		plan := jobs.Plan{Job: "settle", Spec: "0 * * * *", Missed: jobs.RunOnce, Run: func(context.Context) (string, error) {
			close(began)
			<-goOn
			return "too late", nil
		}}
		tt.known(plan)
		tt.clock.set(noon.Add(time.Hour))
		stop := tt.start("still", plan)
		<-began
		tt.clock.set(noon.Add(time.Hour + 2*time.Minute))
		other, ran := counting("settle", plan.Spec, jobs.RunOnce)
		tt.start("w2", other)
		tt.await("settle", func(s jobs.JobStatus) bool { return s.Last.Outcome == "done" })
		close(goOn)
		stop()
		if why := tt.why("settle"); strings.Contains(why, "too late") || len(ran) != 1 || !strings.Contains(why, "still: lost") {
			tt.t.Errorf("%d runs: %s", len(ran), why)
		}
	})
}

func TestWhyAJobDidNotRun(t *testing.T) {
	timetables(t, func(tt *timetable) {
		if _, err := jobs.Why(tt.t.Context(), tt.db, "settle", database.Instant.String); !errors.Is(err, database.ErrNotFound) {
			tt.t.Errorf("a job nobody knows: %v", err)
		}
		plan, _ := counting("settle", "0 13 * * *", jobs.SkipLate)
		failing := jobs.Plan{Job: "limits", Spec: "0 13 * * *", Missed: jobs.RunOnce, Run: func(context.Context) (string, error) {
			return "", errors.New("the gateway is away")
		}}
		tt.known(failing)
		tt.known(plan)
		tt.nobody()
		expect := func(job, want string) {
			tt.t.Helper()
			if why := tt.why(job); !strings.Contains(why, want) {
				tt.t.Errorf("%s: %q is not in %q", job, want, why)
			}
		}
		expect("settle", "Due next at 13:00, but no process runs the schedule now: start payrun serve or payrun work.")
		tt.clock.set(noon.Add(77 * time.Minute))
		expect("settle", "Due since 13:00, but no process runs the schedule")
		tt.start("w1", failing)
		tt.seen(1)
		tt.await("limits", finished)
		expect("limits", "Due at 13:00, but for 17m0s nobody was there to run it; ran at 13:17 on w1: failed after 0s: the gateway is away.")
		expect("settle", "none of the processes that are there has this job")
		tt.start("w2", plan)
		workers := tt.seen(2)
		tt.await("settle", finished)
		expect("settle", "Due at 13:00, skipped: missed by 17m0s.\nDue next at 13:00.")
		if workers[0].Silent {
			tt.t.Errorf("workers %+v", workers)
		}
		tt.clock.set(tt.clock.now().Add(2 * time.Minute))
		if workers = tt.workers(); len(workers) != 2 || !workers[0].Silent {
			tt.t.Errorf("workers that say nothing: %+v", workers)
		}
		tt.nobody()
	})
}

func (tt *timetable) workers() []jobs.Worker {
	tt.t.Helper()
	workers, err := jobs.Workers(tt.t.Context(), tt.db)
	if err != nil {
		tt.t.Fatal(err)
	}
	return workers
}

// seen polls until so many workers have said that they are there.
func (tt *timetable) seen(n int) []jobs.Worker {
	tt.t.Helper()
	poll, late := time.NewTicker(5*time.Millisecond), time.After(giveUp)
	defer poll.Stop()
	for {
		if workers := tt.workers(); len(workers) == n {
			return workers
		}
		select {
		case <-poll.C:
		case <-late:
			tt.t.Fatalf("never saw %d workers", n)
		}
	}
}

// nobody forgets the workers, also one that had no time to say that it left.
func (tt *timetable) nobody() {
	tt.t.Helper()
	if err := jobs.ForgetWorkers(tt.t.Context(), tt.db); err != nil {
		tt.t.Fatal(err)
	}
	if workers := tt.workers(); len(workers) != 0 {
		tt.t.Errorf("workers of the time before a restore: %+v", workers)
	}
}
