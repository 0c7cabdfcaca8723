// Package web is everything of Payrun that listens: the gateway's
// notifications, health, readiness and metrics.
//
// A notification is answered with "success" only after it is stored, changes
// nothing by itself, and is turned away with 400 when it is not the
// gateway's. Nothing that arrives is logged but its fate.
package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/sethvargo/go-limiter/httplimit"
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
	// Wake is told after each stored notification that a look-up is due.
	Wake func()
	// Counters are read for metrics.
	Counters *jobs.Counters
	// NotificationsPerSecond is what one address may post. Default 50.
	NotificationsPerSecond uint64
	Log                    *slog.Logger
}

// Server serves until its context ends.
type Server struct {
	config  Config
	handler http.Handler
	limits  io.Closer
	refused *refusals
}

// maxNotification is far more than the gateway's longest form.
const maxNotification = 64 << 10

// New returns a server that does not listen yet.
func New(config Config) (*Server, error) {
	if config.NotificationsPerSecond == 0 {
		config.NotificationsPerSecond = 50
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	store, err := memorystore.New(&memorystore.Config{Tokens: config.NotificationsPerSecond, Interval: time.Second})
	if err != nil {
		return nil, fmt.Errorf("limit notifications: %w", err)
	}
	limited, err := httplimit.NewMiddleware(store, httplimit.IPKeyFunc())
	if err != nil {
		return nil, fmt.Errorf("limit notifications: %w", err)
	}
	s := &Server{config: config, limits: closer{store.Close}, refused: newRefusals()}
	mux := http.NewServeMux()
	mux.Handle("POST /notify/epay", limited.Handle(http.HandlerFunc(s.notify)))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.registry(), promhttp.HandlerOpts{}))
	s.handler = mux
	return s, nil
}

type closer struct{ close func(context.Context) error }

func (c closer) Close() error { return c.close(context.Background()) }

// ServeHTTP serves one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Serve serves on the listener until ctx ends, then lets requests under way
// finish.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler: s, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(s.config.Log.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return errors.Join(err, s.limits.Close())
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.Join(server.Shutdown(grace), s.limits.Close())
}

// notify answers what the gateway expects: status 200 and the word success,
// which stops its retries. Anything else makes it try again.
func (s *Server) notify(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxNotification))
	if err != nil {
		s.refuse(w, "unreadable")
		return
	}
	err = s.config.Notifier.Notification(r.Context(), r.Header.Get("Content-Type"), body)
	var refused *jobs.RefusedNotification
	switch {
	case errors.As(err, &refused):
		s.config.Log.Warn("notification refused", "from", r.RemoteAddr, "why", refused.Error())
		s.refuse(w, "refused")
	case err != nil:
		s.config.Log.Error("notification not stored", "error", err)
		http.Error(w, "try again later", http.StatusServiceUnavailable)
	default:
		if s.config.Wake != nil {
			s.config.Wake()
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		io.WriteString(w, "success")
	}
}

func (s *Server) refuse(w http.ResponseWriter, why string) {
	s.refused.count(why)
	http.Error(w, "refused", http.StatusBadRequest)
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 3*time.Second)
	defer cancel()
	if err := s.config.Book.Ping(ctx); err != nil {
		http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}
