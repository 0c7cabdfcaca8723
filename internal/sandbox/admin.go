package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"payrun/internal/money"
)

// adminRoutes serves the book and the controls; see the package comment. A
// page in a browser cannot use them from another site.
func (s *Server) adminRoutes(mux *http.ServeMux) {
	admin := http.NewServeMux()
	admin.HandleFunc("GET /sandbox/book", s.serveBook)
	admin.HandleFunc("GET /sandbox/book/{orderNo}", s.serveOrder)
	admin.HandleFunc("GET /sandbox/calls", s.serveCalls)
	admin.HandleFunc("GET /sandbox/faults", s.serveFaults)
	admin.HandleFunc("POST /sandbox/faults", s.acceptFaults)
	admin.HandleFunc("DELETE /sandbox/faults", s.clearFaults)
	admin.HandleFunc("POST /sandbox/orders/{orderNo}", s.acceptOrder)
	admin.HandleFunc("POST /sandbox/funds", s.acceptFunds)
	mux.Handle("/sandbox/", http.NewCrossOriginProtection().Handler(admin))
}

func (s *Server) serveBook(w http.ResponseWriter, _ *http.Request) {
	s.show(w, s.Book())
}

func (s *Server) serveOrder(w http.ResponseWriter, r *http.Request) {
	o, ok := s.Order(r.PathValue("orderNo"))
	if !ok {
		http.Error(w, ErrUnknownOrder.Error(), http.StatusNotFound)
		return
	}
	s.show(w, o)
}

// serveCalls lists when each call arrived and the busiest window, a second
// long unless ?window= says otherwise.
func (s *Server) serveCalls(w http.ResponseWriter, r *http.Request) {
	window, err := time.ParseDuration(or(r.URL.Query().Get("window"), "1s"))
	if err != nil || window <= 0 {
		http.Error(w, "window is not a duration", http.StatusBadRequest)
		return
	}
	type calls struct {
		Count   int         `json:"count"`
		Busiest int         `json:"busiest"`
		At      []time.Time `json:"at"`
	}
	book := s.Book()
	out := struct {
		Window    string             `json:"window"`
		Busiest   int                `json:"busiest"`
		Endpoints map[Endpoint]calls `json:"endpoints"`
	}{window.String(), book.Busiest(window), make(map[Endpoint]calls)}
	for at, arrivals := range book.Calls {
		out.Endpoints[at] = calls{len(arrivals), book.Busiest(window, at), arrivals}
	}
	s.show(w, out)
}

func (s *Server) serveFaults(w http.ResponseWriter, _ *http.Request) { s.show(w, s.Faults()) }

func (s *Server) acceptFaults(w http.ResponseWriter, r *http.Request) {
	var faults Faults
	if !accept(w, r, &faults) {
		return
	}
	if err := s.SetFaults(faults); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.show(w, s.Faults())
}

func (s *Server) clearFaults(w http.ResponseWriter, _ *http.Request) {
	s.faults.set(Faults{})
	w.WriteHeader(http.StatusNoContent)
}

// acceptOrder scripts the outcome of an order to come, or moves one that
// exists into a status.
func (s *Server) acceptOrder(w http.ResponseWriter, r *http.Request) {
	var wish struct {
		Outcome Outcome `json:"outcome"`
		Status  *int    `json:"status"`
	}
	if !accept(w, r, &wish) {
		return
	}
	var err error
	switch no := r.PathValue("orderNo"); {
	case wish.Status != nil:
		err = s.Move(no, *wish.Status)
	case wish.Outcome != "":
		err = s.Script(no, wish.Outcome)
	default:
		err = errors.New("neither outcome nor status given")
	}
	respond(w, err)
}

func (s *Server) acceptFunds(w http.ResponseWriter, r *http.Request) {
	var wish struct {
		Currency money.Currency `json:"currency"`
		Amount   string         `json:"amount"`
	}
	if !accept(w, r, &wish) {
		return
	}
	amount, err := money.Parse(wish.Amount, wish.Currency)
	if err == nil {
		err = s.Fund(wish.Currency, amount)
	}
	respond(w, err)
}

func respond(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, ErrUnknownOrder):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// accept decodes a control's body, strictly.
func accept(w http.ResponseWriter, r *http.Request, into any) bool {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		http.Error(w, fmt.Sprintf("body not understood: %v", err), http.StatusBadRequest)
		return false
	}
	return true
}

func (s *Server) show(w http.ResponseWriter, value any) {
	if err := s.journal.flush(); err != nil {
		http.Error(w, "the sandbox cannot write its book", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		s.config.Log.Info("sandbox reply not sent", "err", err)
	}
}
