package conformance

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"archbench/common/architecture"
	"archbench/common/coverage"
	"archbench/common/eventlog"
	"archbench/common/fault"
	"archbench/common/oracle"
	"archbench/common/oracle/oracletest"
	"archbench/common/view"
)

// env is one case's surroundings.
type env struct {
	Reporter
	t        testing.TB
	ctx      context.Context
	patience time.Duration
	subject  Subject
	backend  Backend
	seed     uint64
	rng      *rand.Rand

	mu      sync.Mutex
	running []*instance
}

var topicSets atomic.Int64

// world is one topic set with what was appended to it, and a data directory.
type world struct {
	e          *env
	log        eventlog.Log
	admin      eventlog.Admin
	topics     eventlog.Topics
	partitions int
	dir        string
	params     view.Params
	lateness   time.Duration // allowed under policy bounded
	maker      *oracletest.Maker
	through    eventlog.Log // what the subject is given; nil: the log itself
	began      time.Time
	alerted    alertTopic
	spenders   int

	mu   sync.Mutex
	sent []oracletest.Record
	// told is the oracle's history of the first toldOf of them.
	told   *oracle.History
	toldOf int
}

// world makes an empty topic set and data directory.
func (e *env) world(partitions int) *world {
	e.Helper()
	log, admin := e.backend.New(e.t)
	w := &world{e: e, log: log, admin: admin, partitions: partitions, dir: e.t.TempDir(), params: oracletest.Params(e.rng), maker: oracletest.NewMaker(e.rng), began: time.Now()}
	if e.subject.Policy == architecture.Bounded {
		w.lateness = oracletest.Lateness(e.rng)
	}
	w.topics = eventlog.TopicsOf(fmt.Sprintf("conformance-%d-%d", time.Now().UnixNano(), topicSets.Add(1)))
	if err := admin.Create(e.ctx, partitions, w.topics.All()...); err != nil {
		e.Fatalf("create topics: %v", err)
	}
	e.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), e.patience)
		defer cancel()
		if err := admin.Delete(ctx, w.topics.All()...); err != nil && !errors.Is(err, eventlog.ErrUnknownTopic) {
			e.Logf("delete topics: %v", err)
		}
	})
	return w
}

// append sends records and remembers them for the oracle.
func (w *world) append(records []oracletest.Record) {
	w.e.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = append(w.sent, records...)
	byTopic := map[string][]eventlog.Record{}
	for _, r := range records {
		topic := w.topics.Orders
		if r.Customers {
			topic = w.topics.Customers
		}
		byTopic[topic] = append(byTopic[topic], eventlog.Record{Key: r.Key, Value: r.Value})
	}
	for topic, rs := range byTopic {
		if err := w.log.Append(w.e.ctx, topic, rs...); err != nil {
			w.e.Fatalf("append to %s: %v", topic, err)
		}
	}
}

// grow appends n new records.
func (w *world) grow(n int) { w.append(w.maker.Make(n)) }

// history is the oracle's word on everything sent so far. It is one that grows: what
// it says of a prefix stays. Guarantee and lateness are settled before it is asked.
func (w *world) history() *oracle.History {
	placed := w.placed()
	if w.told == nil {
		w.told = w.historyOf(nil)
	}
	oracletest.Add(w.told, placed[w.toldOf:])
	w.toldOf = len(placed)
	return w.told
}

func (w *world) placed() []oracletest.Placed {
	w.mu.Lock()
	defer w.mu.Unlock()
	return oracletest.Place(w.sent, w.partitions)
}

func (w *world) historyOf(placed []oracletest.Placed) *oracle.History {
	if w.e.subject.Guarantee.RecognisesDuplicates() {
		return oracletest.BoundedHistory(placed, w.partitions, w.lateness)
	}
	return oracletest.HistoryWithoutIDs(placed, w.partitions, w.lateness)
}

func (w *world) config() architecture.Config {
	return architecture.Config{
		Log: w.log, Topics: w.topics, Dir: w.dir, Params: w.params, Rules: view.EveryLine,
		Policy: w.e.subject.Policy, Lateness: w.lateness, Guarantee: w.e.subject.Guarantee,
		Trigger: 20 * time.Millisecond, BatchInterval: 100 * time.Millisecond, CommitInterval: 15 * time.Millisecond,
		PartitionCheck: 50 * time.Millisecond, MemoryBytes: 512 << 20, Threads: 1,
	}
}

// instance is a running architecture.
type instance struct {
	architecture.Architecture
	e      *env
	opened coverage.Coverage // what it recovered, before it went on
	cancel context.CancelFunc
	done   chan struct{}
	err    error // of Run, once done is closed
}

// start opens and runs the subject on the world, with these faults.
func (w *world) start(faults *fault.Set) *instance {
	w.e.Helper()
	i, err := w.tryStart(faults)
	if err != nil {
		w.e.Fatalf("open %s: %v", w.e.subject.Name, err)
	}
	return i
}

func (w *world) tryStart(faults *fault.Set) (*instance, error) {
	c := w.config()
	c.Faults = faults
	if w.through != nil {
		c.Log = w.through
	}
	a, err := w.e.subject.Open(w.e.ctx, c)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(w.e.ctx)
	i := &instance{Architecture: a, e: w.e, opened: a.Coverage().Latest().Coverage, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(i.done)
		i.err = a.Run(ctx)
	}()
	w.e.mu.Lock()
	w.e.running = append(w.e.running, i)
	w.e.mu.Unlock()
	return i, nil
}

// stop ends the instance cleanly.
func (i *instance) stop() {
	i.e.Helper()
	i.cancel()
	if err := i.wait(); err != nil {
		i.e.Errorf("a clean stop returned %v", err)
	}
}

// wait waits for Run to return.
func (i *instance) wait() error {
	i.e.Helper()
	select {
	case <-i.done:
		return i.err
	case <-time.After(i.e.patience):
		i.e.Fatalf("Run did not return within %v", i.e.patience)
		return nil
	}
}

func (e *env) stopAll() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, i := range e.running {
		i.cancel()
		<-i.done
	}
}

// covers waits until the announced coverage includes all of at. It returns false
// if the instance ended before.
func (i *instance) covers(at coverage.Coverage) bool {
	i.e.Helper()
	return i.until("coverage "+at.String(), func(a coverage.Announcement) bool { return a.Coverage.AtLeast(at) })
}

// serves waits until the rules are served at a coverage that includes all of at.
func (i *instance) serves(r view.Rules, at coverage.Coverage) bool {
	i.e.Helper()
	return i.until(fmt.Sprintf("rules %d", r), func(a coverage.Announcement) bool { return a.Rules == int(r) && a.Coverage.AtLeast(at) })
}

func (i *instance) until(what string, ok func(coverage.Announcement) bool) bool {
	i.e.Helper()
	ctx, cancel := context.WithTimeout(i.e.ctx, i.e.patience)
	defer cancel()
	go func() { // an instance that ended announces nothing more
		select {
		case <-i.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	at := i.Coverage().Latest()
	for at.Version == 0 || !ok(at) {
		next, err := i.Coverage().Next(ctx, at.Version)
		if err != nil {
			select {
			case <-i.done:
				return false
			default:
			}
			i.e.Fatalf("%s was not announced within %v; it stands at %s, rules %d; status %+v", what, i.e.patience, at.Coverage, at.Rules, i.Status())
		}
		at = next
	}
	return true
}

// answered is an answer with the question.
type answered struct {
	q view.Query
	a architecture.Answer
}

// ask asks one question; the instance must answer.
func (i *instance) ask(q view.Query) answered {
	i.e.Helper()
	a, err := i.Answer(i.e.ctx, q)
	if err != nil {
		i.e.Fatalf("%s does not answer: %v", q.View, err)
	}
	return answered{q, a}
}

// askAll asks for every view whole, and n random questions.
func (i *instance) askAll(rng *rand.Rand, n int) []answered {
	i.e.Helper()
	var as []answered
	for _, v := range view.Names() {
		as = append(as, i.ask(view.Query{View: v}))
	}
	for range n {
		as = append(as, i.ask(oracletest.Query(rng)))
	}
	return as
}

// read asks random questions from several goroutines until stop is called,
// which returns all answers. answers tells how many there are so far.
func (i *instance) read(readers int) (stop func() []answered, answers func() int) {
	ctx, cancel := context.WithCancel(i.e.ctx)
	var mu sync.Mutex
	var all []answered
	var wg sync.WaitGroup
	for range readers {
		rng := rand.New(rand.NewPCG(i.e.rng.Uint64(), 3))
		wg.Go(func() {
			for ctx.Err() == nil {
				q := oracletest.Query(rng)
				a, err := i.Answer(ctx, q)
				if err != nil {
					select {
					case <-i.done: // a stopped instance need not answer
					default:
						if ctx.Err() == nil {
							i.e.Errorf("%s does not answer: %v", q.View, err)
						}
					}
					return
				}
				mu.Lock()
				all = append(all, answered{q, a})
				mu.Unlock()
				time.Sleep(time.Millisecond) // leave the processor to the subject; nothing waits for this
			}
		})
	}
	stop = func() []answered {
		cancel()
		wg.Wait()
		return all
	}
	return stop, func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(all)
	}
}

// judge holds answers against the oracle, each at its own coverage.
func (w *world) judge(as []answered) {
	w.e.Helper()
	h := w.history()
	wrong := 0
	for _, x := range as {
		if x.a.View != x.q.View {
			w.e.Fatalf("asked for %s, got %s", x.q.View, x.a.View)
		}
		w.checkSeam(x.a)
		want, err := w.truth(h, x)
		if err != nil {
			w.e.Fatalf("%s: %v", x.q.View, err)
		}
		if d := w.diff(x, want); d.Any() {
			if wrong++; wrong <= 3 {
				w.e.Errorf("%s under rules %d at %s, seam %s, lateness %v (params %+v): %+v\nquestion %s\n got %s\nwant %s",
					x.q.View, x.a.Rules, x.a.Coverage, x.a.Seam, w.lateness, w.params, d, describe(x.q), first(x.a.Rows), first(want))
			}
		}
	}
	if wrong > 3 {
		w.e.Errorf("%d of %d answers are wrong", wrong, len(as))
	}
}

func (w *world) checkSeam(a architecture.Answer) {
	w.e.Helper()
	switch {
	case w.e.subject.HasSeam && a.Seam == nil:
		w.e.Errorf("%s names no seam", a.View)
	case a.Seam != nil && !a.Coverage.AtLeast(*a.Seam):
		w.e.Errorf("seam %s is not within coverage %s", a.Seam, a.Coverage)
	}
}

func describe(q view.Query) string {
	bound := func(b *int64) string {
		if b == nil {
			return "-"
		}
		return fmt.Sprint(*b)
	}
	return fmt.Sprintf("%s?from=%s&to=%s&last=%d&limit=%d", q.View, bound(q.From), bound(q.To), q.Last, q.Limit)
}

func first(rows []view.Row) string {
	return fmt.Sprintf("%d rows, first %v", len(rows), rows[:min(len(rows), 12)])
}

// finish waits until everything sent is covered, and judges all views and the alerts
// there.
func (w *world) finish(i *instance) {
	w.e.Helper()
	end := w.history().End()
	if !i.covers(end) {
		w.e.Fatalf("it ended before it covered the log: %v", i.err)
	}
	as := i.askAll(w.e.rng, 20)
	for _, x := range as {
		if !x.a.Coverage.AtLeast(end) {
			w.e.Errorf("%s answers at %s, behind %s which was announced", x.q.View, x.a.Coverage, end)
		}
	}
	w.judge(as)
	w.checkAlerts(i)
}

// rounds is how often a random case is repeated.
func (e *env) rounds(n int) int {
	if e.backend.Shared || e.lesser() || testing.Short() {
		return max(1, n/4)
	}
	return n
}
