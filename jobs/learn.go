package jobs

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"

	"payrun/ledger"
)

// Errors of Learn, beside the reply that shows why.
var (
	// ErrClaimsToKnow: the gateway answers about an order that never was.
	ErrClaimsToKnow = errors.New("it claims to know an order number that was never used")
	// ErrUnlearnable: its answer cannot be believed, or is another one each time.
	ErrUnlearnable = errors.New("its answer to an order number that was never used cannot be learned")
)

// Learn asks a gateway about two order numbers that were never used, and
// returns the one shape of both answers. Nothing is learned from a gateway that
// turns us away, or whose answer is unsigned where it must be signed, cannot be
// read, or differs from one time to the next.
func Learn(ctx context.Context, g Gateway) (ledger.Shape, Reply, error) {
	var shape ledger.Shape
	var reply Reply
	for i := range 2 {
		o := neverUsed()
		reply = g.Lookup(ctx, o)
		seen := reply.Evidence.Shape(o.Number)
		switch {
		case reply.Verdict == Known || reply.Verdict == Contrary:
			return shape, reply, ErrClaimsToKnow
		case reply.Verdict != Refused || reply.Shut:
			return shape, reply, fmt.Errorf("%w (%s)", ErrUnlearnable, reply.Detail)
		case i > 0 && seen != shape:
			return shape, reply, fmt.Errorf("%w: it was %s, then %s", ErrUnlearnable, shape, seen)
		}
		shape = seen
	}
	return shape, reply, nil
}

// neverUsed is an order whose number has the form of ours but can be nobody's:
// payouts are counted from 1.
func neverUsed() Order {
	var random [10]byte
	_, _ = rand.Read(random[:]) // never fails
	return Order{Number: base32.StdEncoding.EncodeToString(random[:]) + "00000000", Channel: "11", Amount: 1_00, Currency: "USD"}
}
