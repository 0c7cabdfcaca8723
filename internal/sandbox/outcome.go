package sandbox

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"
)

// Statuses of an order, from the gateway's status page. 9, 11 and 19 belong to
// bank and cash orders there; a script can still force them on a wallet order.
const (
	StatusProcessing = 1  // accepted, money held
	StatusCancelled  = 5  // final, all money released
	StatusFailed     = 6  // final, all money released
	StatusPaid       = 7  // final, money spent
	StatusClosed     = 8  // final; that the money is released is inferred
	StatusFrozen     = 9  // money held
	StatusException  = 11 // money held
	StatusPickup     = 19 // waiting for pick-up, money held
	StatusFeeKept    = 20 // final, principal released, fee lost
)

// Final reports whether the gateway's documents call the status final.
func Final(status int) bool {
	switch status {
	case StatusCancelled, StatusFailed, StatusPaid, StatusClosed, StatusFeeKept:
		return true
	}
	return false
}

// Outcome is the way of an order after status 1: the statuses it takes, in
// turn, separated by commas. "7" pays, "19,7" waits before it pays, "1" stays
// open for ever, "7,6" takes a payment back.
type Outcome string

func (o Outcome) statuses() ([]int, error) {
	if o == "" || o == "1" {
		return nil, nil
	}
	var statuses []int
	for _, text := range strings.Split(string(o), ",") {
		status, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || status < 0 || status > 99 {
			return nil, fmt.Errorf("outcome %q: %q is not a status", string(o), text)
		}
		statuses = append(statuses, status)
	}
	return statuses, nil
}

// Weighted gives an outcome its share among all orders.
type Weighted struct {
	Outcome Outcome `json:"outcome"`
	Weight  int     `json:"weight"`
}

// accountOutcome reads the convention for trying things by hand: the last six
// digits of an account number choose what happens to its orders.
func accountOutcome(account string) (Outcome, bool) {
	if len(account) < 6 || account[len(account)-6:len(account)-2] != "0009" {
		return "", false
	}
	switch account[len(account)-2:] {
	case "01":
		return "1", true
	case "05":
		return "5", true
	case "06":
		return "6", true
	case "07":
		return "7", true
	case "08":
		return "8", true
	case "09":
		return "9", true
	case "11":
		return "11", true
	case "19":
		return "19,7", true
	case "20":
		return "20", true
	case "76":
		return "7,6", true
	}
	return "", false
}

// refusedAccount is the ending of account numbers that create itself refuses.
const refusedAccount = "000900"

// outcomeOf decides an order's way: its script, else its account number, else
// a draw that depends on the seed and the order number alone, so that a run
// replays.
func (s *Server) outcomeOf(orderNo, account string) Outcome {
	if outcome, ok := s.scripts[orderNo]; ok {
		return outcome
	}
	if !s.config.PlainAccounts {
		if outcome, ok := accountOutcome(account); ok {
			return outcome
		}
	}
	total := 0
	for _, w := range s.config.Outcomes {
		total += w.Weight
	}
	ticket := int(draw(s.config.Seed, "outcome", orderNo, 0) % uint64(total))
	for _, w := range s.config.Outcomes {
		if ticket -= w.Weight; ticket < 0 {
			return w.Outcome
		}
	}
	panic("unreachable: the ticket is below the sum of weights")
}

// stepDelay is how long after its creation an order takes step i of n, already
// scaled. Steps are spread evenly over the order's processing time.
func (s *Server) stepDelay(orderNo string, i, n int) time.Duration {
	if s.config.Instant {
		return 0
	}
	span := s.config.ProcessingMax - s.config.ProcessingMin
	whole := s.config.ProcessingMin
	if span > 0 {
		whole += time.Duration(draw(s.config.Seed, "time", orderNo, 0) % uint64(span))
	}
	return s.scaled(whole * time.Duration(i+1) / time.Duration(n))
}

// scaled turns gateway time into the server's time.
func (s *Server) scaled(d time.Duration) time.Duration {
	return time.Duration(float64(d) * s.config.TimeScale)
}

// draw is a random number that depends on its arguments alone.
func draw(seed int64, purpose, name string, nth int) uint64 {
	h := fnv.New64a()
	var number [16]byte
	binary.LittleEndian.PutUint64(number[:8], uint64(seed))
	binary.LittleEndian.PutUint64(number[8:], uint64(nth))
	h.Write(number[:])
	h.Write([]byte(purpose))
	h.Write([]byte{0})
	h.Write([]byte(name))
	// FNV leaves the high bits of near names alike; mix them.
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
