package architecture

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"archbench/common/fault"
)

// Group is an errgroup for the goroutines of one Run. When Run is told to stop,
// connections break under the goroutines in many ways, which are no failures; a
// planted crash is one even then.
type Group struct {
	group  *errgroup.Group
	parent context.Context

	mu    sync.Mutex
	crash error
}

// NewGroup returns a group and the context that its goroutines live by.
func NewGroup(ctx context.Context) (*Group, context.Context) {
	g, inner := errgroup.WithContext(ctx)
	return &Group{group: g, parent: ctx}, inner
}

// UnlessStopped is err, or nil if ctx has ended: what a stop breaks is no failure.
func UnlessStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// Go runs f; its first error ends the group.
func (g *Group) Go(f func() error) {
	g.group.Go(func() error {
		err := f()
		if errors.Is(err, fault.ErrCrash) {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.crash = err
		}
		return err
	})
}

// Wait waits for all goroutines. It returns nil after a clean stop.
func (g *Group) Wait(name string) error {
	err := g.group.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.crash != nil:
		return fmt.Errorf("%s: %w", name, g.crash)
	case g.parent.Err() != nil:
		return nil
	case err == nil:
		return nil
	}
	return fmt.Errorf("%s: %w", name, err)
}
