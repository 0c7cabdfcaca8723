package sandbox

import (
	"net/http"
	"strings"
	"time"

	"payrun/internal/money"
)

// The gateway's paths. Those of bank and cash orders exist, but only say that
// they are not offered for wallets.
const (
	createPath  = BasePath + "payoutApi/createEwalletTransaction"
	queryPath   = BasePath + "payoutApi/queryTransaction"
	limitPath   = BasePath + "payoutApi/getLimit"
	balancePath = BasePath + "payoutApi/getBalance"
)

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for path, at := range map[string]Endpoint{
		createPath: Create, queryPath: Query, limitPath: Limits, balancePath: Balance,
	} {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, at) })
	}
	for _, name := range []string{"cancelTransaction", "confirmTransaction", "createTransaction", "calculateAmount"} {
		mux.HandleFunc("POST "+BasePath+"payoutApi/"+name, s.serveNotOffered)
	}
	s.adminRoutes(mux)
	return mux
}

// serve is the way of every call: read, put it into the book, carry it out
// unless a fault says otherwise, write the book, reply.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, at Endpoint) {
	req := readRequest(r)
	c := s.describe(at, req)
	c.again = r.URL.RawQuery == redirected+"=1"
	fault := s.faults.strike(c)
	s.received(c, req, fault)
	if s.waitBefore(fault) != nil {
		panic(http.ErrAbortHandler) // closing: the call is never carried out
	}
	rep := refuse(codeScripted, "scripted failure")
	if fault.processes() {
		rep = s.process(at, req)
	}
	if fault != nil {
		rep = s.spoil(rep, fault)
	}
	if err := s.journal.flush(); err != nil {
		// Nothing is told that the book does not hold.
		s.config.Log.Error("sandbox book", "err", err)
		http.Error(w, "the sandbox cannot write its book", http.StatusServiceUnavailable)
		return
	}
	s.send(w, r, rep, fault)
}

func (s *Server) send(w http.ResponseWriter, r *http.Request, rep reply, fault *Fault) {
	if s.waitAfter(fault) != nil {
		panic(http.ErrAbortHandler)
	}
	body := s.encode(rep)
	if fault != nil && s.breakReply(w, r, fault, body) {
		return
	}
	status := http.StatusOK
	if rep.code != codeSuccess {
		status = s.config.ErrorStatus
	}
	writeJSON(w, status, body)
}

// waitBefore is the slow gateway: the call lies around before it is carried
// out, however long ago the client gave up.
func (s *Server) waitBefore(f *Fault) error {
	if f == nil || f.Kind != FaultDelay || f.Stored || f.Wait == 0 {
		return nil
	}
	s.flushOrLog() // that the call arrived is known even if the server dies meanwhile
	return s.sleep(f.Wait)
}

func (s *Server) waitAfter(f *Fault) error {
	switch {
	case f == nil, f.Kind == FaultDelay && !f.Stored, f.Kind == FaultDrip, f.Kind == FaultNotFound:
		return nil
	}
	return s.sleep(f.Wait)
}

// describe gathers what fault rules look at.
func (s *Server) describe(at Endpoint, req request) call {
	c := call{at: at, orderNo: orderNumber(req), channel: req.text("channelCode"), age: -1}
	if at != Query {
		return c
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.records.orders[c.orderNo].last(); l != nil {
		c.channel, c.age = l.channel, s.age(s.records.orders[c.orderNo])
	}
	return c
}

// age is the time since the first accepted create of the order.
func (s *Server) age(o *order) time.Duration {
	return s.config.Clock.Now().Sub(time.UnixMicro(o.legs[0].created))
}

// received books the arrival. Of a create it keeps what was asked for, since
// nothing else will if it is refused or struck by a fault.
func (s *Server) received(c call, req request, fault *Fault) {
	e := event{Event: eventCall, Endpoint: c.at, Order: c.orderNo}
	if fault != nil {
		e.Fault = fault.Kind
	}
	if c.at == Create {
		e.Channel, e.Currency = clip(c.channel), money.Currency(clip(req.text("currency")))
		e.Text, e.Account = clip(req.text("amount")), clip(req.receiver("accountNo"))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commit(e)
}

// clip keeps lines of the book short whatever a client sends.
func clip(text string) string {
	if len(text) <= 64 {
		return text
	}
	return strings.ToValidUTF8(text[:64], "") + "..."
}

func (s *Server) process(at Endpoint, req request) reply {
	refusal, ok := s.admit(req)
	switch {
	case at == Create && !ok:
		return s.refuseCreate(orderNumber(req), refusal)
	case !ok:
		return refusal
	}
	switch at {
	case Create:
		return s.create(req)
	case Query:
		return s.query(req)
	case Limits:
		return s.limits(req)
	}
	return s.balances(req)
}

func (s *Server) serveNotOffered(w http.ResponseWriter, r *http.Request) {
	rep, ok := s.admit(readRequest(r))
	if ok {
		rep = refuse(codeNotOffered, "not offered for e-wallet orders")
	}
	writeJSON(w, s.config.ErrorStatus, s.encode(rep))
}
