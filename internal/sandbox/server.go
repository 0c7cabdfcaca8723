package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"payrun/internal/money"
)

// Errors that callers branch on.
var (
	ErrNotLoopback  = errors.New("not a loopback address")
	ErrUnknownOrder = errors.New("no such order")
)

// Server is the sandbox gateway. It is an http.Handler, and can listen itself
// with Start. All methods are safe for concurrent use.
type Server struct {
	config  Config
	handler http.Handler
	agenda  *agenda
	faults  *faultSet
	courier *courier

	mu         sync.Mutex // guards the fields below; the journal is appended to under it
	records    *records
	journal    *journal // nil keeps the book in memory
	scripts    map[string]Outcome
	signatures map[Separator]int
	http       *http.Server // nil until Start
	url        string

	closing chan struct{}
	closed  sync.Once
	workers sync.WaitGroup
}

// New opens the book, if there is one, and takes its open orders and
// undelivered callbacks up again. Call Close when done with the server, also
// where it never listened.
func New(config Config) (*Server, error) {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	s := &Server{
		config:     config,
		agenda:     newAgenda(config.Clock),
		faults:     &faultSet{seed: config.Seed, clock: config.Clock},
		courier:    newCourier(config.Callbacks),
		records:    newRecords(),
		scripts:    config.Scripts,
		signatures: make(map[Separator]int),
		closing:    make(chan struct{}),
	}
	s.handler = s.routes()
	s.faults.set(config.Faults)
	if err := s.openBook(); err != nil {
		return nil, errors.Join(fmt.Errorf("sandbox: %w", err), s.journal.close())
	}
	s.workers.Go(func() { s.agenda.run(s.closing, s.flushOrLog) })
	for range config.Callbacks.Workers {
		s.workers.Go(s.courier.work)
	}
	return s, nil
}

func (s *Server) openBook() error {
	if s.config.BookPath != "" {
		j, err := openJournal(s.config.BookPath, s.records.apply)
		if err != nil {
			return err
		}
		s.journal = j
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for currency, amount := range s.config.Balances {
		if s.records.funds[currency] == nil {
			s.commit(event{Event: eventFund, Currency: currency, Amount: amount})
		}
	}
	for _, o := range s.records.orders {
		for i := range o.legs {
			s.resume(o, i)
		}
	}
	return s.journal.flush()
}

// Start listens on a loopback address, such as "127.0.0.1:0", and serves in
// the background. Any other address is ErrNotLoopback: the sandbox has no
// access control.
func (s *Server) Start(addr string) error {
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	if !tcp.IP.IsLoopback() {
		return fmt.Errorf("sandbox: listen on %s: %w", addr, ErrNotLoopback)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.http != nil {
		return errors.New("sandbox: already started")
	}
	listener, err := net.ListenTCP("tcp", tcp)
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	s.http = server
	s.url = "http://" + listener.Addr().String() + BasePath
	s.workers.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.config.Log.Error("sandbox stopped serving", "err", err)
		}
	})
	return nil
}

// URL is the base URL for clients once Start has returned, ending in a slash;
// "" before.
func (s *Server) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.url
}

// ServeHTTP implements http.Handler: the gateway under BasePath, its book and
// controls under /sandbox/.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case <-s.closing:
		http.Error(w, "the sandbox is closing", http.StatusServiceUnavailable)
	default:
		s.handler.ServeHTTP(w, r)
	}
}

// Close stops listening, waits for calls in progress until ctx ends, stops the
// timers and callbacks and closes the book. What was still to happen happens
// after the next New with the same book. Closing again does nothing.
func (s *Server) Close(ctx context.Context) error {
	var err error
	s.closed.Do(func() {
		close(s.closing)
		s.mu.Lock()
		server := s.http
		s.mu.Unlock()
		if server != nil {
			if err = server.Shutdown(ctx); err != nil {
				err = errors.Join(err, server.Close())
			}
		}
		s.courier.close()
		s.workers.Wait()
		err = errors.Join(err, s.journal.close())
	})
	return err
}

// Settled waits until nothing is left to happen by itself: every order has
// taken the last status of its outcome, and every callback was delivered or
// given up.
func (s *Server) Settled(ctx context.Context) error { return s.agenda.settled(ctx) }

// CaughtUp waits until everything that is due by now has happened. It is the
// companion of [ManualClock.Advance].
func (s *Server) CaughtUp(ctx context.Context) error { return s.agenda.caughtUp(ctx) }

// SetFaults replaces the faults in force; an empty list clears them.
func (s *Server) SetFaults(faults Faults) error {
	if err := faults.validate(); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	s.faults.set(faults)
	return nil
}

// Faults lists the faults in force.
func (s *Server) Faults() Faults { return s.faults.list() }

// Script fixes the outcome of an order that is yet to be created. Scripts are
// not in the book.
func (s *Server) Script(orderNo string, outcome Outcome) error {
	if _, err := outcome.statuses(); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scripts[orderNo] = outcome
	return nil
}

// Move puts an order into a status now, whatever its outcome said, and tells
// its notifyUrl where the status is one that is told. ErrUnknownOrder if no
// create of it was accepted.
func (s *Server) Move(orderNo string, status int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.records.orders[orderNo]
	l := o.last()
	if l == nil {
		return fmt.Errorf("sandbox: move order %q: %w", orderNo, ErrUnknownOrder)
	}
	if t, owed := s.take(o, len(o.legs)-1, status, len(l.plan)); owed {
		s.planNotice(t)
	}
	return s.journal.flush()
}

// Fund puts money on the merchant's balance; a negative amount takes it away.
func (s *Server) Fund(currency money.Currency, amount money.Amount) error {
	if _, err := currency.Exponent(); err != nil {
		return fmt.Errorf("sandbox: fund: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commit(event{Event: eventFund, Currency: currency, Amount: amount})
	return s.journal.flush()
}

// commit makes an event part of the book and of the state; s.mu is held.
// It is not on file before the next flush.
func (s *Server) commit(e event) {
	e.At = s.config.Clock.Now().UnixMicro()
	if err := s.records.apply(e); err != nil {
		panic(err) // the server made an event that its own state does not allow
	}
	s.journal.append(e)
}

func (s *Server) flushOrLog() {
	if err := s.journal.flush(); err != nil {
		s.config.Log.Error("sandbox book", "err", err)
	}
}

func (s *Server) countSignature(matched Separator) {
	if s.config.Separator != SeparatorAny {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signatures[matched]++
}
