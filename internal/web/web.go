// Package web is everything of Payrun that listens: the gateway's
// notifications, health, readiness and metrics.
//
// A notification is answered with "success" only after it is stored, changes
// nothing by itself, and is turned away with 400 when it is not the
// gateway's. Nothing of what arrives is logged but its fate.
//
// Start reading at [New]; notify.go is the only part that strangers reach.
package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/sethvargo/go-limiter"
	"github.com/sethvargo/go-limiter/memorystore"

	"payrun/jobs"
	"payrun/ledger"
)

// Notifier stores a gateway's notification. It returns a
// *jobs.RefusedNotification for one that must be turned away.
type Notifier interface {
	Notification(ctx context.Context, contentType string, body []byte) error
}

// Config of a Server; Book and Notifier are required.
type Config struct {
	Book     *ledger.Book
	Notifier Notifier
	// Wake is told after each stored notification that a look-up is due. It
	// must not block.
	Wake func()
	// Counters are read for metrics; nil leaves them out.
	Counters *jobs.Counters
	// NotificationsPerSecond is what one address may post. Default 50.
	NotificationsPerSecond uint64
	// Log default: none.
	Log *slog.Logger
}

// Server serves until its context ends. It is safe for concurrent use.
type Server struct {
	config  Config
	handler http.Handler
	limits  limiter.Store
	fates   *fates
	failing atomic.Bool // the last notification could not be stored
}

// defaultPerSecond is far more than a gateway sends that pays a few payouts a
// second and repeats each notification 16 times.
const defaultPerSecond = 50

// New returns a server that does not listen yet. Serve it or Close it.
func New(config Config) (*Server, error) {
	if config.Book == nil || config.Notifier == nil {
		return nil, errors.New("a web server needs a ledger and a notifier")
	}
	if config.NotificationsPerSecond == 0 {
		config.NotificationsPerSecond = defaultPerSecond
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	limits, err := memorystore.New(&memorystore.Config{
		Tokens: config.NotificationsPerSecond, Interval: time.Second,
		SweepInterval: time.Minute, SweepMinTTL: time.Minute, // addresses are forgotten soon
	})
	if err != nil {
		return nil, fmt.Errorf("limit notifications: %w", err)
	}
	s := &Server{config: config, limits: limits, fates: newFates()}
	s.handler = s.routes()
	return s, nil
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /notify/epay", s.notify)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.registry(), promhttp.HandlerOpts{}))
	return mux
}

// ServeHTTP serves one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// grace is how long requests under way may take when the server stops.
const grace = 10 * time.Second

// Serve serves on the listener until ctx ends, then lets requests under way
// finish, and closes the server. An error means that it stopped on its own.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler: s, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(s.config.Log.Handler(), slog.LevelWarn),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return errors.Join(fmt.Errorf("stopped listening on %s: %w", listener.Addr(), err), s.Close())
	case <-ctx.Done():
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	err := server.Shutdown(patience)
	if errors.Is(err, context.DeadlineExceeded) {
		s.config.Log.Warn("requests were cut off while stopping")
		err = server.Close()
	}
	<-ended
	return errors.Join(err, s.Close())
}

// Close releases what New made. A server that was served is closed already;
// closing it again changes nothing.
func (s *Server) Close() error { return s.limits.Close(context.Background()) }

// ready tells a load balancer whether notifications can be stored.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 3*time.Second)
	defer cancel()
	// Any small question will do, as long as it is the database that answers.
	if _, err := s.config.Book.Stops(ctx); err != nil {
		s.config.Log.Warn("not ready: the database does not answer", "error", err)
		http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}
