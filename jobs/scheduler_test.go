package jobs_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"payrun/internal/database"
	"payrun/internal/database/dbtest"
	"payrun/jobs"
)

// wallClock is a database's clock that a test sets. It stands still unless
// told to tick.
type wallClock struct{ micros atomic.Int64 }

func clockAt(at time.Time) *wallClock {
	c := &wallClock{}
	c.set(at)
	return c
}

func (c *wallClock) set(at time.Time) { c.micros.Store(at.UnixMicro()) }
func (c *wallClock) now() time.Time   { return time.UnixMicro(c.micros.Load()).UTC() }

// timetable is a store with a clock of its own, and the schedulers on it.
type timetable struct {
	t       *testing.T
	db      *database.DB
	clock   *wallClock
	address string
}

// noon is far from the real time, so nothing that looks at this machine's
// clock passes by accident.
var noon = time.Date(2031, 3, 5, 12, 0, 0, 0, time.UTC)

func timetables(t *testing.T, test func(*timetable)) {
	t.Helper()
	t.Parallel()
	dbtest.EachEngine(t, func(t *testing.T, engine string) {
		clock := clockAt(noon)
		address := dbtest.URL(t, engine, migrated)
		db := dbtest.Open(t, database.Config{URL: address, Clock: clock.now}, migrated)
		test(&timetable{t, db, clock, address})
	})
}

// start runs a scheduler until the returned function is called, which waits
// until it has ended.
func (tt *timetable) start(worker string, plans ...jobs.Plan) (stop func()) {
	tt.t.Helper()
	s, err := jobs.NewScheduler(tt.db, worker, slog.New(slog.NewTextHandler(io.Discard, nil)), plans...)
	if err != nil {
		tt.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); s.Run(ctx) }()
	stopped := sync.OnceFunc(func() { cancel(); <-ended })
	tt.t.Cleanup(stopped)
	return stopped
}

// known starts a scheduler until the plan's due instant is stored.
func (tt *timetable) known(plan jobs.Plan) jobs.JobStatus {
	tt.t.Helper()
	stop := tt.start("w0", plan)
	defer stop()
	return tt.await(plan.Job, func(jobs.JobStatus) bool { return true })
}

// await polls the stored status of a job; nothing announces a commit.
func (tt *timetable) await(job string, ok func(jobs.JobStatus) bool) jobs.JobStatus {
	tt.t.Helper()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	deadline := time.After(giveUp)
	var all []jobs.JobStatus
	for {
		var err error
		if all, err = jobs.JobStatuses(tt.t.Context(), tt.db); err != nil {
			tt.t.Fatal(err)
		}
		if i := slices.IndexFunc(all, func(s jobs.JobStatus) bool { return s.Job == job && ok(s) }); i >= 0 {
			return all[i]
		}
		select {
		case <-poll.C:
		case <-deadline:
			tt.t.Fatalf("job %s never came to that: %+v", job, all)
		}
	}
}

func finished(s jobs.JobStatus) bool { return s.Last != nil && s.Last.FinishedAt > 0 }

// counting is a plan whose runs are counted and announced.
func counting(job, spec string, missed jobs.Missed) (plan jobs.Plan, ran chan struct{}) {
	ran = make(chan struct{}, 100)
	return jobs.Plan{Job: job, Spec: spec, Missed: missed, Run: func(context.Context) (string, error) {
		ran <- struct{}{}
		return "went well", nil
	}}, ran
}

func TestANewJobsDueInstantIsStored(t *testing.T) {
	timetables(t, func(tt *timetable) {
		plan, ran := counting("report", "30 14 * * *", jobs.RunOnce)
		got := tt.known(plan)
		if want := noon.Add(150 * time.Minute); !got.NextDueAt.Time().Equal(want) || got.Spec != plan.Spec || len(ran) != 0 {
			tt.t.Errorf("stored %+v after %d runs, want it due at %s", got, len(ran), want)
		}
	})
}

func TestADueJobRunsOnceAndIsRecorded(t *testing.T) {
	timetables(t, func(tt *timetable) {
		plan, ran := counting("report", "30 14 * * *", jobs.RunOnce)
		tt.known(plan)
		tt.clock.set(noon.Add(151 * time.Minute))
		tt.start("w1", plan)
		got := tt.await("report", finished)
		if got.Last.Outcome != "done" || got.Last.Detail != "went well" || got.Last.Worker != "w1" ||
			!got.Last.DueAt.Time().Equal(noon.Add(150*time.Minute)) {
			tt.t.Errorf("recorded %+v", got.Last)
		}
		if want := noon.Add(150*time.Minute + 24*time.Hour); !got.NextDueAt.Time().Equal(want) {
			tt.t.Errorf("next due at %s, want %s", got.NextDueAt, want)
		}
		if len(ran) != 1 {
			tt.t.Errorf("it ran %d times", len(ran))
		}
	})
}

func TestMissedRuns(t *testing.T) {
	for name, c := range map[string]struct {
		missed  jobs.Missed
		late    time.Duration
		outcome string
		runs    int
	}{
		"run once, however many were missed": {jobs.RunOnce, 77 * time.Hour, "done", 1},
		"skip what is late":                  {jobs.SkipLate, 77 * time.Hour, "skipped", 0},
		"a moment late is not missed":        {jobs.SkipLate, 10 * time.Second, "done", 1},
	} {
		t.Run(name, func(t *testing.T) {
			timetables(t, func(tt *timetable) {
				plan, ran := counting("settle", "0 13 * * *", c.missed)
				tt.known(plan)
				tt.clock.set(noon.Add(time.Hour + c.late))
				tt.start("w1", plan)
				got := tt.await("settle", func(s jobs.JobStatus) bool { return finished(s) && s.NextDueAt.Time().After(tt.clock.now()) })
				if got.Last.Outcome != c.outcome || len(ran) != c.runs {
					tt.t.Errorf("%d runs, recorded %+v", len(ran), got.Last)
				}
				if c.outcome == "skipped" && !strings.Contains(got.Last.Detail, "77h") {
					tt.t.Errorf("skipped because %q", got.Last.Detail)
				}
				if got.NextDueAt.Time().Before(tt.clock.now()) || got.NextDueAt.Time().After(tt.clock.now().Add(24*time.Hour)) {
					tt.t.Errorf("next due at %s, now %s", got.NextDueAt, tt.clock.now())
				}
			})
		})
	}
}

func TestTwoSchedulersRunEachInstantOnce(t *testing.T) {
	timetables(t, func(tt *timetable) {
		plan, ran := counting("limits", "*/5 * * * *", jobs.RunOnce)
		tt.known(plan)
		const instants = 5
		for i := range instants {
			tt.clock.set(noon.Add(time.Duration(i+1) * 5 * time.Minute))
			var stops []func()
			for _, worker := range []string{"w1", "w2", "w3"} {
				stops = append(stops, tt.start(worker, plan))
			}
			tt.await("limits", func(s jobs.JobStatus) bool {
				return finished(s) && s.Last.DueAt.Time().Equal(tt.clock.now())
			})
			for _, stop := range stops {
				stop()
			}
		}
		if len(ran) != instants {
			tt.t.Errorf("%d instants ran %d times", instants, len(ran))
		}
		var rows int64
		if err := tt.db.Get(tt.t.Context(), &rows, "SELECT count(*) FROM job_runs WHERE outcome = 'done'"); err != nil || rows != instants {
			tt.t.Errorf("%d runs are recorded, %v", rows, err)
		}
	})
}

func TestAFailedRunIsRecordedAndTheJobRunsAgain(t *testing.T) {
	for name, c := range map[string]struct {
		fail   func() error
		detail string
	}{
		"error": {func() error { return errors.New("the gateway is away") }, "the gateway is away"},
		"panic": {func() error { panic("index out of range") }, "panic: index out of range"},
	} {
		t.Run(name, func(t *testing.T) {
			timetables(t, func(tt *timetable) {
				var runs atomic.Int64
				plan := jobs.Plan{Job: "track", Spec: "*/5 * * * *", Missed: jobs.RunOnce, Run: func(context.Context) (string, error) {
					if runs.Add(1) == 1 {
						return "lost", c.fail()
					}
					return "again", nil
				}}
				tt.known(plan)
				tt.clock.set(noon.Add(5 * time.Minute))
				stop := tt.start("w1", plan)
				if got := tt.await("track", finished).Last; got.Outcome != "failed" || got.Detail != c.detail {
					tt.t.Errorf("recorded %+v", got)
				}
				stop()
				tt.clock.set(noon.Add(10 * time.Minute))
				tt.start("w1", plan)
				got := tt.await("track", func(s jobs.JobStatus) bool { return finished(s) && s.Last.Outcome == "done" })
				if got.Last.Detail != "again" {
					tt.t.Errorf("recorded %+v", got.Last)
				}
			})
		})
	}
}

// One scheduler, living through a panic: its token must come back.
func TestAPanicDoesNotStopTheSchedule(t *testing.T) {
	t.Parallel()
	db := dbtest.Open(t, database.Config{URL: dbtest.URL(t, "sqlite", migrated)}, migrated)
	tt := &timetable{t: t, db: db}
	runs := make(chan int, 10)
	n := 0
	tt.start("w1", jobs.Plan{Job: "often", Spec: "@every 1s", Missed: jobs.RunOnce, Run: func(context.Context) (string, error) {
		n++ // one run at a time
		runs <- n
		panic(n)
	}})
	deadline := time.After(giveUp)
	for want := 1; want <= 2; want++ {
		select {
		case got := <-runs:
			if got != want {
				t.Fatalf("run %d came as number %d", want, got)
			}
		case <-deadline:
			t.Fatalf("run %d never came", want)
		}
	}
}

// Cron wakes by this machine's clock; the database's may lag behind it a little.
func TestAnEarlyWakeUpWaitsForTheDatabasesClock(t *testing.T) {
	timetables(t, func(tt *timetable) {
		plan, ran := counting("report", "30 14 * * *", jobs.RunOnce)
		due := tt.known(plan).NextDueAt
		tt.clock.set(due.Time().Add(-50 * time.Millisecond))
		tt.start("w1", plan)
		time.AfterFunc(20*time.Millisecond, func() { tt.clock.set(due.Time()) })
		got := tt.await("report", finished)
		if got.Last.DueAt != due || len(ran) != 1 {
			tt.t.Errorf("%d runs, recorded %+v", len(ran), got.Last)
		}
	})
}

func TestAChangedScheduleStartsAnew(t *testing.T) {
	timetables(t, func(tt *timetable) {
		plan, ran := counting("report", "30 14 * * *", jobs.RunOnce)
		tt.known(plan)
		tt.clock.set(noon.Add(3 * time.Hour)) // the old time has passed
		plan.Spec = "0 20 * * *"
		tt.start("w1", plan)
		got := tt.await("report", func(s jobs.JobStatus) bool { return s.Spec == plan.Spec })
		if want := noon.Add(8 * time.Hour); !got.NextDueAt.Time().Equal(want) || len(ran) != 0 {
			tt.t.Errorf("%d runs, next due at %s, want %s", len(ran), got.NextDueAt, want)
		}
	})
}

func TestAScheduleIsInItsZone(t *testing.T) {
	timetables(t, func(tt *timetable) {
		plan, _ := counting("report", "CRON_TZ=Asia/Tokyo 0 9 * * *", jobs.RunOnce)
		got := tt.known(plan)
		if want := noon.Add(12 * time.Hour); !got.NextDueAt.Time().Equal(want) {
			tt.t.Errorf("due at %s, want %s, nine o'clock in Tokyo", got.NextDueAt, want)
		}
	})
}

func TestMalformedSchedulesAreErrors(t *testing.T) {
	t.Parallel()
	db := dbtest.Open(t, database.Config{URL: dbtest.URL(t, "sqlite", migrated)}, migrated)
	for _, spec := range []string{
		"", "TZ=0", "CRON_TZ=X", "CRON_TZ=", "TZ=UTC", "CRON_TZ=Nowhere/City 0 0 * * *", "0 0 30 2 *", "0 0 31 4,6,9,11 *",
		"* * * *", "* * * * * *", "60 * * * *", "@every", "@every soon", "@reboot", "5-1 * * * *", "*/0 * * * *",
	} {
		t.Run(spec, func(t *testing.T) {
			s, err := jobs.NewScheduler(db, "w1", slog.New(slog.DiscardHandler), jobs.Plan{Job: "odd", Spec: spec, Missed: jobs.RunOnce})
			if err == nil || s != nil {
				t.Fatalf("accepted: %v", s)
			}
			if !strings.Contains(err.Error(), "job odd") {
				t.Errorf("%v does not name the job", err)
			}
		})
	}
}

func TestStopWaitsForRunningJobs(t *testing.T) {
	timetables(t, func(tt *timetable) {
		began, told, goOn := make(chan struct{}), make(chan struct{}), make(chan struct{})
		plan := jobs.Plan{Job: "slow", Spec: "*/5 * * * *", Missed: jobs.RunOnce, Run: func(ctx context.Context) (string, error) {
			close(began)
			<-ctx.Done()
			close(told)
			<-goOn
			return "finished in peace", nil
		}}
		tt.known(plan)
		tt.clock.set(noon.Add(5 * time.Minute))
		stop := tt.start("w1", plan)
		<-began
		stopped := make(chan struct{})
		go func() { defer close(stopped); stop() }()
		<-told
		select {
		case <-stopped:
			tt.t.Error("stopped while a job was running")
		default:
		}
		close(goOn)
		<-stopped
		statuses, err := jobs.JobStatuses(tt.t.Context(), tt.db)
		if err != nil || len(statuses) != 1 || !finished(statuses[0]) || statuses[0].Last.Detail != "finished in peace" {
			tt.t.Errorf("recorded %+v, %v", statuses, err)
		}
	})
}

func TestALoopRunsAgainAfterAFailureAndWhenWoken(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	wake, ran, ended := make(chan struct{}), make(chan int), make(chan struct{})
	n := 0
	go func() {
		defer close(ended)
		jobs.Loop(ctx, slog.New(slog.DiscardHandler), "track", time.Hour, wake, func(context.Context) error {
			n++
			ran <- n
			if n == 1 {
				return errors.New("once")
			}
			return nil
		})
	}()
	for want := 1; want <= 3; want++ {
		if got := <-ran; got != want {
			t.Fatalf("run %d, want %d", got, want)
		}
		if want < 3 {
			wake <- struct{}{}
		}
	}
	cancel()
	<-ended
}
