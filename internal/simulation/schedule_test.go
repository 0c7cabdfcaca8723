package simulation

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// fault is something that goes wrong, once, for one call.
type fault string

// What goes wrong. Each schedule has some of them, at its own odds.
const (
	noConnection  fault = "no connection"          // proof that nothing left
	requestLost   fault = "request lost"           // never arrives
	requestLate   fault = "request late"           // arrives minutes after everybody gave up
	connectionCut fault = "connection cut"         // arrives, the reply does not
	replyGarbled  fault = "reply garbled"          // arrives, the reply cannot be believed
	serverError   fault = "server error"           // nothing done
	tooMany       fault = "too many requests"      // nothing done, and a wish for silence
	refused       fault = "refused"                // nothing done
	refusedFalse  fault = "refused, but done"      // a no that is not true
	otherOrder    fault = "answers another order"  // the reply is contrary
	strangeNo     fault = "maintenance"            // a no in another shape
	crashBefore   fault = "crash before a call"    //
	crashAfter    fault = "crash during a call"    //
	crashReply    fault = "crash before recording" //
	freezeBefore  fault = "freeze before a call"   // a stopped process goes on, later
	freezeReply   fault = "freeze before recording"
	freezeLookup  fault = "freeze before recording a look-up"
	freezeTwice   fault = "freeze until it is sent again"      // and wake up in the middle of that
	deniedAWhile  fault = "denied for a while"                 // an order is there, look-ups deny it
	deniedLong    fault = "denied but notified"                // for hours, though a notification names it
	shownAtLast   fault = "found just before it is sent again" // by the look-up that comes first, or hours later
	noteDropped   fault = "notification dropped"               //
	noteCopies    fault = "notification repeated"              //
	noteForged    fault = "notification forged"                //
	noteContrary  fault = "notification untrue"                // rightly signed
	noteEarly     fault = "notification ahead of the end"      // and perhaps not true
	feeUnknown    fault = "fee not told"                       //
	takenBack     fault = "payment taken back"                 //
)

// everyFault lists the faults with the highest odds they may have, in
// thousandths of the calls they fit; above a thousand some schedules lose all.
var everyFault = map[fault]int{
	noConnection: 300, requestLost: 2_000, requestLate: 900, connectionCut: 900, replyGarbled: 900, serverError: 500,
	tooMany: 100, refused: 200, refusedFalse: 300, otherOrder: 100, strangeNo: 300, crashBefore: 150, crashAfter: 150,
	crashReply: 150, freezeBefore: 200, freezeReply: 200, deniedAWhile: 900, deniedLong: 500, shownAtLast: 900,
	freezeLookup: 200, freezeTwice: 900,
	noteDropped: 500, noteCopies: 500, noteForged: 300, noteContrary: 400, noteEarly: 500, feeUnknown: 300, takenBack: 100,
}

// The gateway is never as late as the grace time that a second send waits for:
// together these stay below it. Against a later one nobody could be right.
const (
	latestRequest = 15 * time.Minute
	longestDenial = 12 * time.Minute
)

// schedule is everything that chance decides about one run.
type schedule struct {
	seed      uint64
	workers   int
	payouts   int
	inFlight  int
	perSecond int
	lazy      bool          // workers rest longer than they have to
	silent    bool          // the gateway notifies nobody
	people    bool          // two people decide what is left to them
	automatic bool          // what is proven absent is sent again
	storm     time.Duration // after it nothing new goes wrong
	odds      map[fault]int // thousandths
	blackouts []window      // look-ups deny every order
	stops     []stopping
	restarts  [][]restart // of each worker
}

type window struct{ from, until time.Duration }

// stopping is a brake that a person pulls.
type stopping struct {
	window
	scope int // of the possible ones
}

// restart is the end of a process, at once or in peace.
type restart struct {
	at    time.Duration
	crash bool
}

func scheduleOf(seed uint64) schedule {
	s := schedule{seed: seed, odds: map[fault]int{}}
	r := s.of("schedule")
	s.workers, s.payouts, s.inFlight = 1+r.IntN(3), 2+r.IntN(4), 1+r.IntN(4)
	s.perSecond, s.automatic, s.lazy, s.silent = 2+r.IntN(20), r.IntN(3) > 0, r.IntN(2) == 0, r.IntN(2) == 0
	s.people = r.IntN(2) == 0
	s.storm = between(r, time.Minute, time.Minute<<r.IntN(10))
	for f, most := range everyFault {
		if own := s.of("odds of", f); own.IntN(4) == 0 {
			s.odds[f] = 1 + own.IntN(most)
		}
	}
	for range r.IntN(2) {
		from := between(r, 0, s.storm)
		s.blackouts = append(s.blackouts, window{from, from + between(r, time.Minute, 3*time.Hour)})
	}
	for range r.IntN(4) - 1 {
		from := between(r, 0, s.storm)
		s.stops = append(s.stops, stopping{window{from, from + between(r, time.Second, time.Hour)}, r.IntN(3)})
	}
	s.restarts = make([][]restart, s.workers)
	for i := range s.restarts {
		for range r.IntN(3) {
			s.restarts[i] = append(s.restarts[i], restart{between(r, 0, s.storm), r.IntN(2) == 0})
		}
	}
	return s
}

// of answers a question. What happens to one thing never depends on when
// other things happen: the seed and the question's name alone decide.
func (s schedule) of(name ...any) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprintln(h, name...)
	return rand.New(rand.NewPCG(s.seed, h.Sum64()))
}

// strikes decides whether something goes wrong with one call.
func (s schedule) strikes(f fault, name ...any) bool {
	odds := s.odds[f]
	return odds > 0 && s.of(append([]any{f}, name...)...).IntN(1000) < odds
}

// between draws whole microseconds. Each actor's instants keep its own
// nanoseconds, so that no two act at the same instant and the order of what
// happens is the same every time. The calls of one worker share its own: see
// stepAside.
func between(r *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(r.Int64N(int64((most-least)/time.Microsecond)+1))*time.Microsecond
}
