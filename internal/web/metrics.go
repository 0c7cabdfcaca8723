package web

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"payrun/ledger"
)

// refusals counts notifications that were turned away.
type refusals struct{ counter *prometheus.CounterVec }

func newRefusals() *refusals {
	return &refusals{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "payrun_notifications_refused_total", Help: "Notifications turned away, by cause.",
	}, []string{"cause"})}
}

func (r *refusals) count(cause string) { r.counter.WithLabelValues(cause).Inc() }

// registry gathers everything /metrics shows. It is the server's own: tests
// and several servers in one process do not share counters.
func (s *Server) registry() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		s.refused.counter, &books{s.config.Book})
	if c := s.config.Counters; c != nil {
		for name, counter := range map[string]interface{ Load() int64 }{
			"sent": &c.Sent, "accepted": &c.Accepted, "refused": &c.Refused, "in_doubt": &c.InDoubt,
			"not_sent": &c.NotSent, "looked_up": &c.LookedUp, "ended": &c.Ended,
		} {
			registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
				Name: "payrun_payouts_" + name + "_total", Help: "Payouts this process has " + name + " since it started.",
			}, func() float64 { return float64(counter.Load()) }))
		}
	}
	return registry
}

// books reads gauges from the ledger when they are asked for.
type books struct{ book *ledger.Book }

var (
	openPayouts = prometheus.NewDesc("payrun_payouts_open", "Payouts that have not ended, by state.", []string{"state"}, nil)
	oldestOpen  = prometheus.NewDesc("payrun_payouts_oldest_seconds", "Age of the oldest payout in a state, since it was sent.", []string{"state"}, nil)
	exceptions  = prometheus.NewDesc("payrun_exceptions_open", "Open exceptions, by kind.", []string{"kind"}, nil)
	up          = prometheus.NewDesc("payrun_database_up", "1 when the database answers.", nil, nil)
)

// Describe implements prometheus.Collector.
func (b *books) Describe(descriptions chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{openPayouts, oldestOpen, exceptions, up} {
		descriptions <- d
	}
}

// Collect implements prometheus.Collector. While the database is away it
// says so and leaves the rest out.
func (b *books) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	open, err := b.book.Open(ctx)
	if err != nil {
		gauge(up, 0)
		return
	}
	gauge(up, 1)
	for _, o := range open {
		gauge(openPayouts, float64(o.Payouts), string(o.State))
		gauge(oldestOpen, o.Oldest.Seconds(), string(o.State))
	}
	kinds := map[string]int{}
	cases, err := b.book.Exceptions(ctx)
	if err != nil {
		return
	}
	for _, c := range cases {
		kinds[c.Kind]++
	}
	for kind, n := range kinds {
		gauge(exceptions, float64(n), kind)
	}
}
