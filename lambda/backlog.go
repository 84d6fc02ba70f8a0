package lambda

import (
	"context"
	"sync"
)

// limits bound what is in memory, whatever the pace of the log. Intake waits at
// twice each: half of the room is for what comes while the work is under way.
type limits struct {
	segment int64 // records that wait for a segment when one is written
	speed   int64 // records that the growing spans hold when a batch begins before its time
}

// defaultLimits are far above what live traffic brings within a batch; a backfill
// reaches them. A waiting record takes about 250 bytes.
var defaultLimits = limits{segment: 250_000, speed: 1_000_000}

// backlog counts the records of all partitions that wait for a segment, and those
// that wait for a batch, and holds intake back when they are too many.
type backlog struct {
	limits limits

	mu      sync.Mutex
	waiting int64         // for a segment
	growing int64         // for a batch: what the spans that grow hold
	room    chan struct{} // closed and replaced when a count falls
}

func newBacklog(l limits) *backlog { return &backlog{limits: l, room: make(chan struct{})} }

// add counts records and says what is due because of them. A batch is due once:
// another one at once would find hardly anything new.
func (b *backlog) add(records int64) (segment, batch bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.growing
	b.waiting += records
	b.growing += records
	return b.waiting >= b.limits.segment, before < b.limits.speed && b.growing >= b.limits.speed
}

// wait returns when there is room for more.
func (b *backlog) wait(ctx context.Context) error {
	for {
		b.mu.Lock()
		full, room := b.waiting >= 2*b.limits.segment || b.growing >= 2*b.limits.speed, b.room
		b.mu.Unlock()
		if !full {
			return ctx.Err()
		}
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// kept takes off what is in a segment now.
func (b *backlog) kept(records int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting -= records
	b.makeRoom()
}

// sealed takes off what a span holds that grows no more: its batch has begun.
func (b *backlog) sealed(records int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.growing -= records
	b.makeRoom()
}

// restored counts records that a span got from segments and not from the log, and
// says whether a batch is due because of them.
func (b *backlog) restored(records int64) (batch bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.growing += records
	return b.growing >= b.limits.speed
}

func (b *backlog) makeRoom() {
	close(b.room)
	b.room = make(chan struct{})
}
