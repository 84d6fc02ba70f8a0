package intake

import (
	"context"
	"sync"
	"time"
)

// Letters remembers how far one partition of one topic was dead-lettered, for all
// that read it at once: the first that meets an unusable record writes it to the
// queue, and the others pass it once it is there. All read it in order.
type Letters struct {
	mu   sync.Mutex // held while a letter is written
	next int64      // records below this offset have theirs
}

// NewLetters begins at an offset: what lies below has its letters.
func NewLetters(from int64) *Letters { return &Letters{next: from} }

// once calls write unless the record at offset has its letter. Without Letters it
// always does.
func (l *Letters) once(offset int64, write func() error) error {
	if l == nil {
		return write()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if offset < l.next {
		return nil
	}
	if err := write(); err != nil {
		return err
	}
	l.next = offset + 1
	return nil
}

// grace is how long the letters of a batch may go on being written after a stop.
const grace = 5 * time.Second

// finishing outlives ctx by the grace: a batch of which some letters are written
// comes to its end, so that a clean stop repeats none of them.
func finishing(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	return longer, func() { stop(); cancel() }
}
