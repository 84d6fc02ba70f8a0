package kappa

import (
	"context"
	"runtime"

	"golang.org/x/sync/semaphore"
)

// turns keep a place free for live work while a replay runs. A replay always has
// more to do: its partitions and its part of commits would fill every place that the
// Go scheduler has (GOMAXPROCS), and a goroutine that the network wakes then waits for
// the next look at the network, up to 10 ms, and behind whoever runs by then. With one
// place idle the kernel wakes its thread at once.
type turns struct{ places *semaphore.Weighted }

// newTurns leaves one place of the scheduler free, where it has two. There are two on a
// single processor as well if GOMAXPROCS says so: which of both runs is then for
// the kernel to say, which puts the one that slept before the one that did not.
func newTurns() turns {
	return turns{semaphore.NewWeighted(int64(max(1, runtime.GOMAXPROCS(0)-1)))}
}

// wait waits for a turn, which done gives back.
func (t turns) wait(ctx context.Context) (done func(), err error) {
	if err := t.places.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	return func() { t.places.Release(1) }, nil
}

// unlessLive is a turn for an instance that has no need of one once it is served.
func (t turns) unlessLive(in *instance) func(context.Context) (func(), error) {
	return func(ctx context.Context) (func(), error) {
		if in.live.Load() {
			return func() {}, nil
		}
		return t.wait(ctx)
	}
}
