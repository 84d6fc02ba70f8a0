package kappa

import (
	"context"
	"sync"
	"sync/atomic"

	"archbench/common/architecture"
	"archbench/common/coverage"
	"archbench/common/event"
	"archbench/common/intake"
	"archbench/common/stream"
	"archbench/common/view"
	"archbench/kappa/store"
)

// replayChunk is how many records are applied in one go, and a replay steps aside
// after: about 0.2 ms of work, so that neither readers nor live records wait longer.
const replayChunk = 256

// instance is one generation of the state, in memory.
type instance struct {
	store.Generation
	partitions []*partition
	live       atomic.Bool        // is served: announces and answers
	stop       context.CancelFunc // ends its reading; set when that begins
	failed     chan error         // why reading ended, while not served

	gate sync.RWMutex // held for writing while the instance must not advance

	mu     sync.Mutex
	vector coverage.Coverage // what answers include
}

// partition is one partition of both topics.
type partition struct {
	mu       sync.Mutex
	number   int
	state    *stream.State
	seen     *stream.Seen
	position store.Position
	written  store.Position
	countDup bool // planted bug
	dropCanc bool // planted bug
}

// load reads a generation from the store.
func (k *Kappa) load(g store.Generation) (*instance, error) {
	in := &instance{Generation: g, vector: coverage.Zero(k.dir.Partitions), failed: make(chan error, 1)}
	for n := range k.dir.Partitions {
		p := &partition{number: n, state: stream.NewState(k.c.Params, g.Rules), seen: stream.NewSeen(),
			countDup: k.c.Faults.Bug(bugCountTwice), dropCanc: k.c.Faults.Bug(bugDropReturned)}
		if !k.c.Guarantee.RecognisesDuplicates() {
			p.seen.WithoutIDs()
		}
		var err error
		if p.position, err = k.store.Load(g.Number, n, p.state.MergeRow, p.seen.Restore); err != nil {
			return nil, err
		}
		p.written = p.position
		p.state.Track()
		p.seen.Track()
		in.partitions = append(in.partitions, p)
		in.advance(n, p.position)
	}
	return in, nil
}

// advance notes a partition's position.
func (in *instance) advance(n int, at store.Position) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.vector.Orders[n] = max(in.vector.Orders[n], at.Orders)
	in.vector.Customers[n] = max(in.vector.Customers[n], at.Customers)
}

// position is what answers include.
func (in *instance) position() coverage.Coverage {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.vector.Clone()
}

// write puts all changes since the last write into the commit and returns the
// coverage that they bring.
func (in *instance) write(c commit) (coverage.Coverage, error) {
	at := coverage.Zero(len(in.partitions))
	for n, p := range in.partitions {
		position, err := p.write(c, in.Number)
		if err != nil {
			return at, err
		}
		at.Orders[n], at.Customers[n] = position.Orders, position.Customers
	}
	return at, nil
}

// cut takes what a query needs of each partition, and the vector that it reaches.
func (in *instance) cut(q view.Query) (cuts []*stream.Cut, at coverage.Coverage, earliest, latest int64) {
	at = coverage.Zero(len(in.partitions))
	known := false
	for n, p := range in.partitions {
		cut, position, e, l, ok := p.cut(q)
		cuts = append(cuts, cut)
		at.Orders[n], at.Customers[n] = position.Orders, position.Customers
		switch {
		case ok && !known:
			earliest, latest, known = e, l, true
		case ok:
			earliest, latest = min(earliest, e), max(latest, l)
		}
	}
	return cuts, at, earliest, latest
}

// cut holds the lock for as long as copying takes. A customer's rows are all in
// one partition, so the partition alone knows which customers a query reaches.
func (p *partition) cut(q view.Query) (cut *stream.Cut, at store.Position, earliest, latest int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var customers stream.Customers
	if stream.NeedsCustomers(q) {
		customers = stream.Customers{}
		p.state.AddCustomers(q, customers)
	}
	earliest, latest, ok = p.state.Bounds()
	return p.state.Cut(q, customers), p.position, earliest, latest, ok
}

func (p *partition) at() store.Position {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.position
}

// addOrders applies a batch of orders. The vector advances before the gate
// opens, so that a switch never finds answers ahead of it.
func (p *partition) addOrders(in *instance, b intake.Orders) {
	in.gate.RLock()
	defer in.gate.RUnlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range b.Records {
		r := &b.Records[i]
		if r.Unusable != "" {
			p.position.Unusable++
			continue
		}
		p.addLine(&r.Line)
	}
	p.position.Orders = b.Next
	in.advance(p.number, p.position)
}

func (p *partition) addLine(l *event.OrderLine) {
	switch p.seen.Claim(l) {
	case stream.Conflict:
		p.position.Conflicting++
		p.position.Duplicate++
	case stream.Duplicate:
		p.position.Duplicate++
	case stream.First:
		if !p.dropCanc || l.Kind != event.Cancellation {
			p.state.AddLine(l)
		}
		return
	}
	if p.countDup {
		p.state.AddLine(l)
	}
}

// addCustomers applies a batch of profile changes.
func (p *partition) addCustomers(in *instance, b intake.Customers) {
	in.gate.RLock()
	defer in.gate.RUnlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range b.Records {
		r := &b.Records[i]
		if r.Unusable != "" {
			p.position.Unusable++
			continue
		}
		p.state.AddProfile(&r.Change, r.Offset)
	}
	p.position.Customers = b.Next
	in.advance(p.number, p.position)
}

// write puts the partition's changes and its position into the commit.
func (p *partition) write(c commit, generation uint32) (store.Position, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.position == p.written {
		return p.position, nil
	}
	var failed error
	keep := func(err error) {
		if err != nil && failed == nil {
			failed = err
		}
	}
	p.state.TakeChanges(
		func(kind view.Partial, r view.Row) { keep(c.state.PutRow(generation, p.number, kind, r)) },
		func(kind view.Partial, r view.Row) { keep(c.state.DeleteRow(generation, p.number, kind, r)) })
	p.seen.TakeChanges(func(id stream.ID) { keep(c.state.PutID(generation, p.number, id)) })
	keep(c.positions.SetPosition(generation, p.number, p.position))
	p.written = p.position
	return p.position, failed
}

// report adds the partition's counts to a status.
func (p *partition) report(s *architecture.Status) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Unusable += p.position.Unusable
	s.Duplicate += p.position.Duplicate
	s.Conflicting += p.position.Conflicting
	s.State["ids"] += int64(p.seen.Len())
	s.State["rows"] += int64(p.state.Len())
}
