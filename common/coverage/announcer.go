package coverage

import (
	"context"
	"sync"
)

// Announcer holds the latest announced coverage and wakes those who wait for
// the next. Only the latest is kept: a slow listener sees fewer, newer vectors.
type Announcer struct {
	mu      sync.Mutex
	latest  Announcement
	changed chan struct{}
}

// Announcement is one announced coverage, with the rules its answers follow.
type Announcement struct {
	Version  uint64 // grows with every announcement; 0 is "nothing announced yet"
	Coverage Coverage
	Rules    int
}

// NewAnnouncer returns an Announcer that has announced nothing.
func NewAnnouncer() *Announcer { return &Announcer{changed: make(chan struct{})} }

// Announce publishes c, which the caller must not change afterwards.
func (a *Announcer) Announce(c Coverage, rules int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.latest = Announcement{Version: a.latest.Version + 1, Coverage: c, Rules: rules}
	close(a.changed)
	a.changed = make(chan struct{})
}

// Latest returns the latest announcement.
func (a *Announcer) Latest() Announcement {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.latest
}

// Next waits for an announcement newer than version and returns the latest.
func (a *Announcer) Next(ctx context.Context, version uint64) (Announcement, error) {
	for {
		a.mu.Lock()
		latest, changed := a.latest, a.changed
		a.mu.Unlock()
		if latest.Version > version {
			return latest, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Announcement{}, ctx.Err()
		}
	}
}
