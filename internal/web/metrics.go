package web

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"payrun/jobs"
	"payrun/ledger"
)

// fate is what became of a notification; a label in metrics.
type fate string

const (
	stored     fate = "stored"
	notStored  fate = "not-stored" // the database was away; the gateway repeats it
	refused    fate = "refused"    // not the gateway's, or damaged
	tooLarge   fate = "too-large"
	unreadable fate = "unreadable" // broke off on the way
	tooMany    fate = "too-many"
)

// fates counts notifications by what became of them.
type fates struct{ counter *prometheus.CounterVec }

func newFates() *fates {
	f := &fates{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "payrun_notifications_total", Help: "Notifications that arrived, by what became of them.",
	}, []string{"fate"})}
	for _, known := range []fate{stored, notStored, refused, tooLarge, unreadable, tooMany} {
		f.counter.WithLabelValues(string(known)) // so that a first one shows as a rise from zero
	}
	return f
}

func (f *fates) count(what fate) { f.counter.WithLabelValues(string(what)).Inc() }

// registry gathers everything /metrics shows. It is the server's own: several
// servers in one process do not share counters.
func (s *Server) registry() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		s.fates.counter, &books{s.config.Book})
	if s.config.Counters != nil {
		registerCounters(registry, s.config.Counters)
	}
	return registry
}

func registerCounters(registry *prometheus.Registry, c *jobs.Counters) {
	for _, counter := range []struct {
		name, help string
		value      *atomic.Int64
	}{
		{"sent", "Payouts this process handed to the gateway.", &c.Sent},
		{"accepted", "Payouts the gateway took.", &c.Accepted},
		{"refused", "Payouts the gateway refused; look-ups decide what that means.", &c.Refused},
		{"in_doubt", "Payouts whose call got no answer that proves anything.", &c.InDoubt},
		{"not_sent", "Payouts claimed and given back, with proof that no byte was sent.", &c.NotSent},
		{"looked_up", "Look-ups this process made.", &c.LookedUp},
		{"ended", "Payouts whose end this process recorded.", &c.Ended},
	} {
		registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "payrun_payouts_" + counter.name + "_total", Help: counter.help,
		}, func() float64 { return float64(counter.value.Load()) }))
	}
}

// books reads gauges from the ledger when they are asked for.
type books struct{ book *ledger.Book }

var (
	openPayouts = prometheus.NewDesc("payrun_payouts_open", "Payouts that were sent and have not ended, by state.", []string{"state"}, nil)
	oldestOpen  = prometheus.NewDesc("payrun_payouts_oldest_seconds", "Age of the oldest payout in a state, since it was sent.", []string{"state"}, nil)
	exceptions  = prometheus.NewDesc("payrun_exceptions_open", "Open exceptions, by kind.", []string{"kind"}, nil)
	alertsLeft  = prometheus.NewDesc("payrun_alerts_undelivered", "Alerts that did not arrive, by way: still tried, or given up.", []string{"way", "fate"}, nil)
	up          = prometheus.NewDesc("payrun_database_up", "1 when the database answers.", nil, nil)
)

// sentStates always have a gauge, so that a query sees zero rather than
// nothing.
var sentStates = []ledger.State{ledger.Sending, ledger.Unknown, ledger.Accepted, ledger.Review}

// exceptionKinds likewise.
var exceptionKinds = []string{
	ledger.ExceptionInDoubt, ledger.ExceptionReview, ledger.ExceptionTampered,
	ledger.ExceptionOrphan, ledger.ExceptionHeldBack, ledger.ExceptionUnusual, ledger.ExceptionContrary,
	ledger.ExceptionStopped, ledger.ExceptionBraked, ledger.ExceptionBalanceLow, ledger.ExceptionRunFailed, ledger.ExceptionNotVerified, ledger.ExceptionUnchecked, ledger.ExceptionInboxFolder,
}

// Describe implements prometheus.Collector.
func (b *books) Describe(descriptions chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{openPayouts, oldestOpen, exceptions, alertsLeft, up} {
		descriptions <- d
	}
}

// Collect implements prometheus.Collector. While the database is away it says
// so and leaves the rest out.
func (b *books) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	open, errOpen := b.book.Open(ctx)
	cases, errCases := b.book.Exceptions(ctx)
	backlogs, errAlerts := b.book.Backlogs(ctx)
	if errOpen != nil || errCases != nil || errAlerts != nil {
		gauge(up, 0)
		return
	}
	gauge(up, 1)
	for state, o := range byState(open) {
		gauge(openPayouts, float64(o.Payouts), string(state))
		gauge(oldestOpen, o.Oldest.Seconds(), string(state))
	}
	for kind, n := range byKind(cases) {
		gauge(exceptions, float64(n), kind)
	}
	for _, w := range backlogs {
		gauge(alertsLeft, float64(w.Waiting), w.Way, "waiting")
		gauge(alertsLeft, float64(w.GivenUp), w.Way, "given-up")
	}
}

func byState(open []ledger.Open) map[ledger.State]ledger.Open {
	all := map[ledger.State]ledger.Open{}
	for _, state := range sentStates {
		all[state] = ledger.Open{State: state}
	}
	for _, o := range open {
		all[o.State] = o
	}
	return all
}

func byKind(cases []ledger.Exception) map[string]int {
	all := map[string]int{}
	for _, kind := range exceptionKinds {
		all[kind] = 0
	}
	for _, c := range cases {
		all[c.Kind]++
	}
	return all
}
