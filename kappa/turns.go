package kappa

import (
	"context"
	"runtime"

	"golang.org/x/sync/semaphore"
)

// turns keep places free for live work while a replay runs. A replay always has
// more to do: its partitions and its part of commits would fill every place that the
// Go scheduler has (GOMAXPROCS), and a goroutine that the network wakes then waits for
// the next look at the network, up to 10 ms, and behind whoever runs by then. With a
// place idle the kernel wakes its thread at once.
type turns struct{ places *semaphore.Weighted }

// newTurns gives a replay as many places as there are processors, and leaves one free
// where there are two. On a single processor there are several if GOMAXPROCS says so:
// who runs is then for the kernel to say, which puts those that slept before those that
// did not.
func newTurns() turns {
	return turns{semaphore.NewWeighted(int64(max(1, min(runtime.NumCPU(), runtime.GOMAXPROCS(0)-1))))}
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
