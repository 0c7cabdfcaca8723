package sandbox

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// agenda runs tasks when they come due, one after the other, on the single
// goroutine that calls run. It also counts what is not finished yet, which is
// how the server knows that it has settled. A task is counted from add until
// finish, so a task that hands its work to another goroutine finishes there.
type agenda struct {
	clock Clock
	wake  chan struct{} // buffered: an earlier task than the awaited one came in

	mu      sync.Mutex
	tasks   taskHeap
	seq     uint64
	open    int // tasks added and not finished
	waiters map[*waiter]struct{}
}

type task struct {
	due time.Time
	seq uint64 // keeps tasks of one instant in the order they were added
	run func()
}

type waiter struct {
	done  func() bool // called with agenda.mu held
	ready chan struct{}
}

func newAgenda(clock Clock) *agenda {
	return &agenda{
		clock:   clock,
		wake:    make(chan struct{}, 1),
		waiters: make(map[*waiter]struct{}),
	}
}

// add plans a task. Whoever does the task's work calls finish once.
func (a *agenda) add(due time.Time, run func()) {
	a.mu.Lock()
	a.seq++
	a.open++
	heap.Push(&a.tasks, task{due, a.seq, run})
	first := a.tasks[0].seq == a.seq
	a.mu.Unlock()
	if first {
		select {
		case a.wake <- struct{}{}:
		default: // a wake-up is already pending
		}
	}
}

// start counts work that is not planned but begins at once.
func (a *agenda) start() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open++
}

func (a *agenda) finish() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open--
	for w := range a.waiters {
		if w.done() {
			close(w.ready)
			delete(a.waiters, w)
		}
	}
}

// run executes due tasks until stop is closed. After each run of due tasks it
// calls rest, where the server writes its book in one go.
func (a *agenda) run(stop <-chan struct{}, rest func()) {
	for {
		if a.runDue(stop) {
			rest()
		}
		alarm, cancel := a.next()
		select {
		case <-stop:
			cancel()
			return
		case <-a.wake:
			cancel()
		case <-alarm:
		}
	}
}

// runDue executes what is due now and says whether that was anything.
func (a *agenda) runDue(stop <-chan struct{}) bool {
	ran := false
	for {
		select {
		case <-stop:
			return ran
		default:
		}
		t, ok := a.pop(a.clock.Now())
		if !ok {
			return ran
		}
		t.run()
		ran = true
	}
}

func (a *agenda) pop(now time.Time) (task, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.tasks) == 0 || a.tasks[0].due.After(now) {
		return task{}, false
	}
	return heap.Pop(&a.tasks).(task), true
}

func (a *agenda) next() (<-chan time.Time, func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.tasks) == 0 {
		return nil, func() {}
	}
	return a.clock.Alarm(a.tasks[0].due)
}

// settled waits until nothing is planned and nothing is under way.
func (a *agenda) settled(ctx context.Context) error {
	return a.wait(ctx, func() bool { return a.open == 0 })
}

// caughtUp waits until nothing that is due now is left or under way.
func (a *agenda) caughtUp(ctx context.Context) error {
	return a.wait(ctx, func() bool {
		due := len(a.tasks) > 0 && !a.tasks[0].due.After(a.clock.Now())
		return !due && a.open == len(a.tasks)
	})
}

func (a *agenda) wait(ctx context.Context, done func() bool) error {
	w := &waiter{done: done, ready: make(chan struct{})}
	a.mu.Lock()
	if done() {
		a.mu.Unlock()
		return nil
	}
	a.waiters[w] = struct{}{}
	a.mu.Unlock()
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.waiters, w)
		return ctx.Err()
	}
}

// taskHeap implements heap.Interface, earliest first.
type taskHeap []task

func (h taskHeap) Len() int { return len(h) }
func (h taskHeap) Less(i, j int) bool {
	if h[i].due.Equal(h[j].due) {
		return h[i].seq < h[j].seq
	}
	return h[i].due.Before(h[j].due)
}
func (h taskHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *taskHeap) Push(x any)   { *h = append(*h, x.(task)) }
func (h *taskHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = task{}
	*h = old[:len(old)-1]
	return last
}
