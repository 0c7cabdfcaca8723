package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"payrun/internal/money"
)

// Kind is what goes wrong.
type Kind string

// Faults of a call. Where a fault could strike before or after an order is
// stored, Fault.Stored says which; those marked "processed" always come after.
const (
	FaultLostReply    Kind = "lost-reply"    // processed, then the connection is closed without a byte
	FaultReset        Kind = "reset"         // the connection is reset
	FaultHalfClose    Kind = "half-close"    // half a reply, then an end of file while the server goes on reading
	FaultDelay        Kind = "delay"         // the call takes Wait longer; before it is processed, or after with Stored
	FaultDrip         Kind = "drip"          // processed; the reply comes byte by byte, over Wait
	FaultStatus       Kind = "status"        // HTTPStatus (default 503) with an HTML page or Body, and RetryAfter
	FaultHTML         Kind = "html"          // status 200 with an HTML page
	FaultEmpty        Kind = "empty"         // status 200 without a body
	FaultTruncated    Kind = "truncated"     // processed; the JSON ends half way, the HTTP message does not
	FaultTrailingJunk Kind = "trailing-junk" // processed; something follows the JSON
	FaultBadSign      Kind = "bad-sign"      // processed; the reply is wrongly signed
	FaultNoSign       Kind = "no-sign"       // processed; the reply has an empty sign
	FaultForeign      Kind = "foreign"       // processed; the reply names another order
	FaultMismatch     Kind = "mismatch"      // processed; the reply has another amount
	FaultErrorCode    Kind = "error-code"    // Code (default an invented one) instead of the result
	FaultNotFound     Kind = "not-found"     // a query denies the order, while it is younger than Wait if that is set
	FaultRedirect     Kind = "redirect"      // HTTPStatus 307 (default) or 308 to Location (default: the call once more)
	FaultOutage       Kind = "outage"        // an error code and nothing done: the channel is down
	FaultLimits       Kind = "limits"        // Min and Max replace the channel's limits, in getLimit and in create
)

// Faults of callbacks; At is Callback. All but the first leave the true one alone.
const (
	FaultDrop        Kind = "drop"         // never sent
	FaultCopies      Kind = "copies"       // Copies more of it at the same time
	FaultForge       Kind = "forge"        // one with the opposite status and a wrong signature goes first
	FaultContradict  Kind = "contradict"   // one with Status (default the opposite), rightly signed, follows
	FaultOutOfOrder  Kind = "out-of-order" // one with status 1 follows
	FaultBeforeReply Kind = "before-reply" // the order ends, and is told, before create replies
)

// Fault is one rule. It strikes a call that fits every condition it states;
// of several rules that fit, only the first strikes. Durations are real time,
// not scaled; in JSON they are texts such as "1.5s".
type Fault struct {
	At   Endpoint `json:"at"`
	Kind Kind     `json:"kind"`

	OrderNo string `json:"orderNo,omitempty"` // only this order
	Channel string `json:"channel,omitempty"` // only this channel

	Rate     int           `json:"rate,omitempty"`     // parts per million of the fitting calls; 0 means all
	Times    int           `json:"times,omitempty"`    // at most so many strikes; 0 means no end
	PerOrder int           `json:"perOrder,omitempty"` // at most so many strikes on one order; 0 means no end
	For      time.Duration `json:"for,omitempty"`      // from when it was set; 0 means until cleared

	Stored bool          `json:"stored,omitempty"` // strike after the order is stored
	Wait   time.Duration `json:"wait,omitempty"`   // before any answer; see also the kind

	HTTPStatus int           `json:"httpStatus,omitempty"`
	RetryAfter time.Duration `json:"retryAfter,omitempty"` // whole seconds, rounded up
	Body       string        `json:"body,omitempty"`
	Location   string        `json:"location,omitempty"`
	Code       int           `json:"code,omitempty"`
	Min        money.Amount  `json:"min,omitempty"` // minor units; 0 leaves the limit as it is
	Max        money.Amount  `json:"max,omitempty"`
	Copies     int           `json:"copies,omitempty"` // default 1
	Status     int           `json:"status,omitempty"`
}

// Faults is the list of rules in force, tried in order.
type Faults struct {
	Rules []Fault `json:"rules"`
}

// faultJSON shadows the durations of a Fault with texts.
type faultJSON struct {
	*plainFault
	For        string `json:"for,omitempty"`
	Wait       string `json:"wait,omitempty"`
	RetryAfter string `json:"retryAfter,omitempty"`
}

type plainFault Fault

// MarshalJSON writes durations as texts.
func (f Fault) MarshalJSON() ([]byte, error) {
	return json.Marshal(faultJSON{
		plainFault: (*plainFault)(&f),
		For:        durationText(f.For),
		Wait:       durationText(f.Wait),
		RetryAfter: durationText(f.RetryAfter),
	})
}

func durationText(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

// UnmarshalJSON reads durations as texts and refuses unknown names, since a
// misspelt condition would make a rule strike too often.
func (f *Fault) UnmarshalJSON(data []byte) error {
	shadow := faultJSON{plainFault: (*plainFault)(f)}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&shadow); err != nil {
		return err
	}
	for _, d := range []struct {
		text string
		to   *time.Duration
	}{{shadow.For, &f.For}, {shadow.Wait, &f.Wait}, {shadow.RetryAfter, &f.RetryAfter}} {
		if d.text == "" {
			continue
		}
		parsed, err := time.ParseDuration(d.text)
		if err != nil {
			return err
		}
		*d.to = parsed
	}
	return nil
}

func (f Faults) validate() error {
	var errs []error
	for i, rule := range f.Rules {
		if err := rule.validate(); err != nil {
			errs = append(errs, fmt.Errorf("fault %d: %w", i+1, err))
		}
	}
	return errors.Join(errs...)
}

func (f Fault) validate() error {
	switch f.At {
	case Create, Query, Limits, Balance, Callback:
	default:
		return fmt.Errorf("unknown endpoint %q", string(f.At))
	}
	if !f.Kind.possibleAt(f.At) {
		return fmt.Errorf("%q is not possible at %q", string(f.Kind), string(f.At))
	}
	if f.Rate < 0 || f.Rate > 1_000_000 || f.Times < 0 || f.PerOrder < 0 || f.Wait < 0 || f.For < 0 || f.Copies < 0 {
		return errors.New("a number is out of range")
	}
	if f.HTTPStatus != 0 && (f.HTTPStatus < 200 || f.HTTPStatus > 599) {
		return fmt.Errorf("HTTP status %d is not possible", f.HTTPStatus)
	}
	return nil
}

func (k Kind) possibleAt(at Endpoint) bool {
	switch k {
	case FaultDrop, FaultCopies, FaultForge, FaultContradict, FaultOutOfOrder, FaultBeforeReply:
		return at == Callback
	case FaultNotFound:
		return at == Query
	case FaultForeign, FaultMismatch:
		return at == Create || at == Query
	case FaultLimits:
		return at == Limits || at == Create
	case FaultLostReply, FaultReset, FaultHalfClose, FaultDelay, FaultDrip, FaultStatus, FaultHTML, FaultEmpty,
		FaultTruncated, FaultTrailingJunk, FaultBadSign, FaultNoSign, FaultErrorCode, FaultRedirect, FaultOutage:
		return at != Callback
	}
	return false
}

// processes says whether the call is carried out although it is struck.
func (f *Fault) processes() bool {
	switch {
	case f == nil || f.Stored:
		return true
	case f.Kind == FaultReset, f.Kind == FaultHalfClose, f.Kind == FaultStatus, f.Kind == FaultHTML,
		f.Kind == FaultEmpty, f.Kind == FaultErrorCode, f.Kind == FaultRedirect, f.Kind == FaultOutage,
		f.Kind == FaultNotFound:
		return false
	}
	return true
}

// faultSet holds the rules in force and counts their strikes.
type faultSet struct {
	seed  int64
	clock Clock

	mu    sync.Mutex
	rules []*armed
}

type armed struct {
	Fault
	until   time.Time // zero: until cleared
	strikes int
	struck  map[string]int // strikes per order number, kept only for PerOrder
	drawn   map[string]int // draws per order number, kept only for Rate
}

func (s *faultSet) set(faults Faults) {
	now := s.clock.Now()
	rules := make([]*armed, len(faults.Rules))
	for i, f := range faults.Rules {
		rules[i] = &armed{Fault: f, struck: make(map[string]int), drawn: make(map[string]int)}
		if f.For > 0 {
			rules[i].until = now.Add(f.For)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = rules
}

func (s *faultSet) list() Faults {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Faults{Rules: make([]Fault, len(s.rules))}
	for i, rule := range s.rules {
		out.Rules[i] = rule.Fault
	}
	return out
}

// call is what a rule can look at. age is how long ago the order was created,
// negative if it does not exist.
type call struct {
	at      Endpoint
	orderNo string
	channel string
	age     time.Duration
	again   bool // a redirected call: it is not redirected twice
	early   bool // asks for FaultBeforeReply, which nothing else asks for
}

// strike returns the first rule that hits the call, or nil.
func (s *faultSet) strike(c call) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.rules) == 0 {
		return nil
	}
	now := s.clock.Now()
	for i, rule := range s.rules {
		if rule.Kind != FaultLimits && rule.fits(c, now) && rule.hits(c, s.seed, i) {
			fault := rule.Fault
			return &fault
		}
	}
	return nil
}

func (a *armed) fits(c call, now time.Time) bool {
	switch {
	case a.At != c.at,
		a.OrderNo != "" && a.OrderNo != c.orderNo,
		a.Channel != "" && a.Channel != c.channel,
		!a.until.IsZero() && !now.Before(a.until),
		a.Times > 0 && a.strikes >= a.Times,
		a.PerOrder > 0 && a.struck[c.orderNo] >= a.PerOrder,
		a.Kind == FaultRedirect && c.again,
		(a.Kind == FaultBeforeReply) != c.early,
		a.Kind == FaultNotFound && a.Wait > 0 && c.age >= a.Wait:
		return false
	}
	return true
}

// hits draws for rules with a rate. The draw depends on seed, rule, order and
// how many calls of that order came before, not on the order of arrival of
// different orders, so that a concurrent run replays.
func (a *armed) hits(c call, seed int64, index int) bool {
	if a.Rate > 0 {
		nth := a.drawn[c.orderNo]
		a.drawn[c.orderNo] = nth + 1
		if int(draw(seed+int64(index), "fault", c.orderNo, nth)%1_000_000) >= a.Rate {
			return false
		}
	}
	a.strikes++
	if a.PerOrder > 0 {
		a.struck[c.orderNo]++
	}
	return true
}

// limit applies the rules that shrink limits. A rule at either endpoint holds
// at both, since the gateway enforces what it announces, and for all orders of
// its channel.
func (s *faultSet) limit(channel string, limit Limit) Limit {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rule := range s.rules {
		c := call{at: rule.At, channel: channel}
		if rule.Kind != FaultLimits || !rule.fits(c, s.clock.Now()) {
			continue
		}
		limit.Min = or(rule.Min, limit.Min)
		limit.Max = or(rule.Max, limit.Max)
	}
	return limit
}
