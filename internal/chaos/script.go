package main

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"

	"payrun/internal/sandbox"
)

// act is what happens to the installation at a moment of the script.
type act string

// The acts.
const (
	killWorker      act = "kill a worker"
	stallWorker     act = "stop a worker past its lease"
	pauseWorker     act = "stop a worker for a moment"
	restartDatabase act = "kill PostgreSQL"
	restartGateway  act = "kill the gateway"
	fillDisk        act = "fill the disk"
	channelOutage   act = "break a channel"
)

// scene is one act of the script.
type scene struct {
	at      time.Duration
	act     act
	worker  int
	lasts   time.Duration
	channel string
}

// script is everything that goes wrong, and when. It depends on the seed and
// the storm's length alone.
type script struct {
	storm  time.Duration
	scenes []scene
	faults sandbox.Faults
}

// each kind of scene, how many there are of it in a minute, and how long it lasts.
var repertoire = []struct {
	act         act
	perMinute   int
	least, most time.Duration
}{
	{killWorker, 12, 100 * time.Millisecond, 2 * time.Second},
	{stallWorker, 2, leaseAtMost + time.Second, leaseAtMost + 4*time.Second},
	{pauseWorker, 6, 100 * time.Millisecond, 3 * time.Second},
	{restartDatabase, 3, 0, 0},
	{restartGateway, 3, 0, time.Second},
	{fillDisk, 2, time.Second, 3 * time.Second},
	{channelOutage, 2, 3 * time.Second, 8 * time.Second},
}

func scriptOf(seed uint64, storm time.Duration) script {
	s := script{storm: storm, faults: faultsOf(seed)}
	for _, kind := range repertoire {
		r := random(seed, string(kind.act))
		for range max(1, int(int64(kind.perMinute)*int64(storm)/int64(time.Minute))) {
			s.scenes = append(s.scenes, scene{
				at: time.Duration(r.Int64N(int64(storm))), act: kind.act, worker: r.IntN(workers),
				lasts: kind.least + time.Duration(r.Int64N(int64(kind.most-kind.least)+1)), channel: channels[r.IntN(len(channels))],
			})
		}
	}
	slices.SortFunc(s.scenes, func(a, b scene) int { return cmp.Compare(a.at, b.at) })
	return s
}

func random(seed uint64, what string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(what))
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

func (s scene) String() string {
	switch s.act {
	case killWorker, stallWorker, pauseWorker:
		return fmt.Sprintf("%s: %d, %s", s.act, s.worker, s.lasts.Round(time.Millisecond))
	case channelOutage:
		return fmt.Sprintf("%s: %s, %s", s.act, s.channel, s.lasts.Round(time.Millisecond))
	}
	return fmt.Sprintf("%s, %s", s.act, s.lasts.Round(time.Millisecond))
}

// faultsOf are the faults of calls and notifications, in parts per million;
// each rate lies between a half and three halves of what stands here. A fault
// that keeps a create from being carried out strikes an order once: the second
// send, if there is one, gets through.
func faultsOf(seed uint64) sandbox.Faults {
	const slow = callTimeout + time.Second
	rules := []sandbox.Fault{
		{At: sandbox.Create, Kind: sandbox.FaultLostReply, Rate: 30_000},
		{At: sandbox.Create, Kind: sandbox.FaultReset, Rate: 10_000, PerOrder: 1},
		{At: sandbox.Create, Kind: sandbox.FaultReset, Rate: 10_000, Stored: true},
		{At: sandbox.Create, Kind: sandbox.FaultHalfClose, Rate: 5_000, Stored: true},
		{At: sandbox.Create, Kind: sandbox.FaultDelay, Rate: 3_000, Wait: slow},
		{At: sandbox.Create, Kind: sandbox.FaultDelay, Rate: 3_000, Wait: slow, Stored: true},
		{At: sandbox.Create, Kind: sandbox.FaultDrip, Rate: 2_000, Wait: slow},
		{At: sandbox.Create, Kind: sandbox.FaultStatus, Rate: 10_000, PerOrder: 1},
		{At: sandbox.Create, Kind: sandbox.FaultStatus, Rate: 10_000, Stored: true},
		{At: sandbox.Create, Kind: sandbox.FaultStatus, Rate: 1_000, PerOrder: 1, HTTPStatus: 429, RetryAfter: time.Second},
		{At: sandbox.Create, Kind: sandbox.FaultHTML, Rate: 5_000, Stored: true},
		{At: sandbox.Create, Kind: sandbox.FaultEmpty, Rate: 5_000, PerOrder: 1},
		{At: sandbox.Create, Kind: sandbox.FaultTruncated, Rate: 10_000},
		{At: sandbox.Create, Kind: sandbox.FaultTrailingJunk, Rate: 5_000},
		{At: sandbox.Create, Kind: sandbox.FaultBadSign, Rate: 5_000},
		{At: sandbox.Create, Kind: sandbox.FaultForeign, Rate: 2_000},
		{At: sandbox.Create, Kind: sandbox.FaultMismatch, Rate: 2_000},
		{At: sandbox.Create, Kind: sandbox.FaultErrorCode, Rate: 5_000, Stored: true},
		{At: sandbox.Create, Kind: sandbox.FaultErrorCode, Rate: 5_000, PerOrder: 1},
		{At: sandbox.Create, Kind: sandbox.FaultRedirect, Rate: 3_000, PerOrder: 1},
		{At: sandbox.Query, Kind: sandbox.FaultNotFound, Rate: 100_000, Wait: 2 * time.Second},
		{At: sandbox.Query, Kind: sandbox.FaultLostReply, Rate: 20_000},
		{At: sandbox.Query, Kind: sandbox.FaultDelay, Rate: 5_000, Wait: slow},
		{At: sandbox.Query, Kind: sandbox.FaultStatus, Rate: 20_000},
		{At: sandbox.Query, Kind: sandbox.FaultTruncated, Rate: 10_000},
		{At: sandbox.Query, Kind: sandbox.FaultBadSign, Rate: 10_000},
		{At: sandbox.Query, Kind: sandbox.FaultErrorCode, Rate: 10_000},
		{At: sandbox.Query, Kind: sandbox.FaultForeign, Rate: 2_000},
		{At: sandbox.Callback, Kind: sandbox.FaultDrop, Rate: 100_000},
		{At: sandbox.Callback, Kind: sandbox.FaultCopies, Rate: 100_000, Copies: 4},
		{At: sandbox.Callback, Kind: sandbox.FaultForge, Rate: 100_000},
		{At: sandbox.Callback, Kind: sandbox.FaultOutOfOrder, Rate: 50_000},
		{At: sandbox.Callback, Kind: sandbox.FaultBeforeReply, Rate: 20_000},
		{At: sandbox.Limits, Kind: sandbox.FaultStatus, Rate: 200_000},
		{At: sandbox.Balance, Kind: sandbox.FaultStatus, Rate: 200_000},
	}
	r := random(seed, "rates")
	for i := range rules {
		rules[i].Rate = rules[i].Rate/2 + r.IntN(rules[i].Rate)
	}
	return sandbox.Faults{Rules: rules}
}

// outage is a rule that breaks a channel for a while.
func (s scene) outage() sandbox.Fault {
	return sandbox.Fault{At: sandbox.Create, Kind: sandbox.FaultOutage, Channel: s.channel, For: s.lasts}
}
