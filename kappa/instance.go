package kappa

import (
	"context"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"archbench/common/alerts"
	"archbench/common/architecture"
	"archbench/common/coverage"
	"archbench/common/event"
	"archbench/common/fault"
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
	k          *Kappa
	partitions []*partition
	live       atomic.Bool        // is served: announces and answers
	stop       context.CancelFunc // ends its reading; set when that begins
	failed     chan error         // why reading ended, while not served

	gate sync.RWMutex // held for writing while the instance must not advance

	mu     sync.Mutex
	vector coverage.Coverage // what answers include
	early  []alerts.Alert    // not raised, while not served
}

// partition is one partition of both topics.
type partition struct {
	mu       sync.Mutex
	number   int
	state    *stream.State
	seen     *stream.Seen
	known    *stream.Profiles // bounded: what a line joins with when it is read
	position store.Position
	written  store.Position
	closing  int64  // everything closed below this event time is in the last write
	oldest   uint64 // epoch of ids that the store has
	faults   *fault.Set
}

// load reads a generation from the store.
func (k *Kappa) load(g store.Generation) (*instance, error) {
	in := &instance{Generation: g, k: k, vector: coverage.Zero(k.dir.Partitions), failed: make(chan error, 1)}
	in.partitions = make([]*partition, k.dir.Partitions)
	var loading errgroup.Group
	loading.SetLimit(runtime.GOMAXPROCS(0)) // under policy exact there may be gigabytes
	for n := range in.partitions {
		loading.Go(func() (err error) {
			in.partitions[n], err = k.loadPartition(g, n)
			return err
		})
	}
	if err := loading.Wait(); err != nil {
		return nil, err
	}
	for n, p := range in.partitions {
		in.advance(n, p.position)
	}
	return in, nil
}

// loadPartition reads a partition. Under policy bounded its closed rows stay where
// they are.
func (k *Kappa) loadPartition(g store.Generation, n int) (*partition, error) {
	p := &partition{number: n, closing: math.MinInt64, faults: k.c.Faults}
	kinds := view.Partials()
	p.state, p.seen = stream.NewState(k.c.Params, g.Rules), stream.NewSeen()
	if k.bounded() {
		kinds = view.BoundedPartials()
		p.known = stream.NewProfiles()
		p.state, p.seen = stream.NewBoundedState(k.c.Params, g.Rules, p.known), stream.NewBoundedSeen(k.c.Lateness)
	}
	if !k.c.Guarantee.RecognisesDuplicates() {
		p.seen.WithoutIDs()
	}
	position, found, err := k.store.Position(g.Number, n)
	if err != nil {
		return nil, err
	}
	horizon := int64(math.MinInt64)
	if found && k.bounded() {
		p.seen.RestoreWatermark(position.Watermark)
		horizon = p.seen.Horizon()
		if position.Watermark != 0 && position.Earliest < math.MaxInt64 {
			p.state.RestoreTimes(position.Earliest, position.Watermark)
		}
	}
	closed := stream.ClosedAt(k.c.Params, horizon)
	for _, kind := range kinds {
		err := k.store.Rows(g.Number, n, kind, closed.LeastOpen(kind), func(r view.Row) {
			if !closed.Holds(kind, &r) {
				p.state.MergeRow(kind, r)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	p.seen.Reserve(position.Orders - position.Unusable - position.Duplicate)
	if err := k.store.IDs(g.Number, n, p.seen.Restore); err != nil {
		return nil, err
	}
	if k.c.Faults.Bug(bugForgetMark) && k.bounded() {
		p.seen.RestoreWatermark(math.MinInt64)
	}
	p.position, p.written = position, position
	p.state.Track()
	p.seen.Track()
	p.state.Forget(horizon)
	return p, nil
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

// forget lets go of what is closed in all partitions. Call it when the last write
// is committed: from then on the store answers for it.
func (in *instance) forget() {
	for _, p := range in.partitions {
		p.mu.Lock()
		p.state.Forget(p.closing)
		p.mu.Unlock()
	}
}

// cuts are what a query needs of the memory of each partition.
type cuts struct {
	of     []*stream.Cut
	closed []stream.Closed // what is not in memory
	at     coverage.Coverage
	times  stream.Times
}

// cut takes what a query needs of each partition, and the vector that it reaches.
func (in *instance) cut(q view.Query) cuts {
	c := cuts{at: coverage.Zero(len(in.partitions))}
	for n, p := range in.partitions {
		cut, closed, position, times := p.cut(q)
		c.of, c.closed = append(c.of, cut), append(c.closed, closed)
		c.at.Orders[n], c.at.Customers[n] = position.Orders, position.Customers
		c.times.Merge(times)
	}
	return c
}

// cut holds the lock for as long as copying takes. A customer's rows are all in
// one partition, so the partition alone knows which customers a query reaches.
func (p *partition) cut(q view.Query) (cut *stream.Cut, closed stream.Closed, at store.Position, times stream.Times) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var customers stream.Customers
	if stream.NeedsCustomers(q) {
		customers = stream.Customers{}
		p.state.AddCustomers(q, customers)
	}
	return p.state.Cut(q, customers), p.state.Closed(), p.position, p.state.Times()
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
		if c, crossed := p.addLine(&r.Line); crossed {
			in.raise(p.number, r.Offset, c)
		}
	}
	p.position.Orders = b.Next
	in.advance(p.number, p.position)
}

// addLine adds a line if it counts.
func (p *partition) addLine(l *event.OrderLine) (c stream.Crossing, crossed bool) {
	counts := false
	switch p.seen.Claim(l) {
	case stream.First:
		counts = l.Kind != event.Cancellation || !p.faults.Bug(bugDropReturned)
	case stream.Conflict:
		p.position.Conflicting++
		p.position.Duplicate++
		counts = p.faults.Bug(bugCountTwice)
	case stream.Duplicate:
		p.position.Duplicate++
		counts = p.faults.Bug(bugCountTwice)
	case stream.Late:
		p.position.Late++
		counts = p.faults.Bug(bugCountLate)
	}
	if !counts {
		return c, false
	}
	return p.state.AddLine(l)
}

// raise raises an alert. An instance that is not served writes none, and keeps those
// of lines that the served one has not read yet: if it is served before these are,
// they are its own.
func (in *instance) raise(partition int, offset int64, c stream.Crossing) {
	a := alerts.Alert{Rules: in.Rules, WindowStart: c.WindowStart, CustomerID: c.CustomerID, GrossMilli: c.GrossMilli, OrdersPartition: partition, OrdersOffset: offset}
	if in.live.Load() || in.k.c.Faults.Bug(alerts.BugShadow) {
		in.k.alerts.Raise(a)
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	a.DetectedUS = time.Now().UnixMicro()
	in.early = append(in.early, a)
	if len(in.early) >= mostEarly {
		in.early = since(in.early, in.k.served.Load().position())
	}
}

// mostEarly is how many alerts an instance that is not served gathers before it
// looks which of them it may still need.
const mostEarly = 10_000

// since are the alerts whose lines lie at these offsets or later.
func since(all []alerts.Alert, from coverage.Coverage) []alerts.Alert {
	return slices.DeleteFunc(all, func(a alerts.Alert) bool { return a.OrdersOffset < from.Orders[a.OrdersPartition] })
}

// earlySince are the alerts that the instance did not raise and must if it is served
// from this vector on.
func (in *instance) earlySince(from coverage.Coverage) []alerts.Alert {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.early = since(in.early, from)
	return in.early
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
	ids := c.state.IDs(generation, p.number, p.position.Orders)
	oldest := p.seen.TakeChanges(ids.Put)
	keep(ids.Close())
	if oldest > p.oldest {
		keep(c.state.DropIDs(generation, p.number, oldest))
		p.oldest = oldest
	}
	p.position.Watermark, p.position.Earliest = p.mark()
	p.closing = p.seen.Horizon()
	keep(c.positions.SetPosition(generation, p.number, p.position))
	p.written = p.position
	return p.position, failed
}

// mark is what the position holds of event time, 0 where no policy asks for it.
func (p *partition) mark() (watermark, earliest int64) {
	if p.seen.Watermark() == math.MinInt64 {
		return 0, 0
	}
	times := p.state.Times()
	if !times.Any {
		return p.seen.Watermark(), math.MaxInt64 // lines came, and none counts
	}
	return p.seen.Watermark(), times.Earliest
}

// report adds the partition's counts to a status.
func (p *partition) report(s *architecture.Status) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Unusable += p.position.Unusable
	s.Duplicate += p.position.Duplicate
	s.Conflicting += p.position.Conflicting
	s.Late += p.position.Late
	s.State["ids"] += int64(p.seen.Len())
	s.State["rows"] += int64(p.state.Len())
	if p.known != nil {
		s.State["profiles"] += int64(p.known.Len())
	}
}
