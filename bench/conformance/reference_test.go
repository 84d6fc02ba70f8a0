package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"

	"archbench/common/alerts"
	"archbench/common/architecture"
	"archbench/common/coverage"
	"archbench/common/durable"
	"archbench/common/event"
	"archbench/common/eventlog"
	"archbench/common/oracle"
	"archbench/common/view"
)

// reference is the oracle behind the interface: it keeps every record in one
// file and answers from the definitions. A bug, planted by name, makes it wrong
// in one way that the suite must find.
type reference struct {
	c         architecture.Config
	bug       string
	announcer *coverage.Announcer

	mu       sync.Mutex
	opened   coverage.Vector // of orders, when it was opened
	state    persisted
	saved    coverage.Coverage
	ended    bool
	progress *architecture.Progress
	alerted  alerts.Counts
	wake     chan struct{}
	told     *told          // nil: not since more came
	counts   *oracle.Counts // of all records, by the exact definitions; nil as well
}

// told is what the oracle makes of all records under some rules.
type told struct {
	rules   view.Rules
	orders  [][][]byte // those that the policy keeps
	counts  oracle.Counts
	history *oracle.History
}

type persisted struct {
	Params    view.Params
	Rules     view.Rules
	Want      view.Rules // asked for, not yet switched to
	At        coverage.Coverage
	Orders    [][][]byte // by partition; nil values stay nil
	Customers [][][]byte
	// Known is, for each record of orders, how many of customers were there when it came.
	Known [][]int
	// Reigns are the rules that were served.
	Reigns  []architecture.Reign
	Alerted coverage.Coverage // alerts of lines before it were written
}

func openReference(bug string) func(context.Context, architecture.Config) (architecture.Architecture, error) {
	return func(ctx context.Context, c architecture.Config) (architecture.Architecture, error) {
		c = c.WithDefaults()
		r := &reference{c: c, bug: bug, announcer: coverage.NewAnnouncer(), wake: make(chan struct{}, 1)}
		n, err := c.Log.Partitions(ctx, c.Topics.Orders)
		if err != nil {
			return nil, err
		}
		content, err := durable.Load(r.path(), "reference", 1)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			r.state = persisted{Params: c.Params, Rules: c.Rules, At: coverage.Zero(n), Orders: make([][][]byte, n), Customers: make([][][]byte, n), Known: make([][]int, n),
				Reigns: architecture.FirstReign(c.Rules, n), Alerted: coverage.Zero(n)}
			if err := r.save(); err != nil {
				return nil, err
			}
		case err != nil:
			return nil, err
		default:
			if err := json.Unmarshal(content, &r.state); err != nil {
				return nil, err
			}
			if r.state.Params != c.Params && bug != "take over any directory" {
				return nil, errors.New("the data directory was built with other window parameters")
			}
		}
		if bug == "lose a line at restart" && r.state.At.Orders[0] > 0 {
			r.state.Orders[0] = slices.Clone(r.state.Orders[0])
			r.state.Orders[0][0] = []byte("lost")
		}
		if bug == "forget alerts at restart" {
			r.state.Alerted = r.state.At.Clone()
		}
		r.saved, r.opened = r.state.At.Clone(), r.state.At.Orders.Clone()
		r.announcer.Announce(r.state.At.Clone(), int(r.state.Rules))
		return r, nil
	}
}

func (r *reference) path() string { return filepath.Join(r.c.Dir, "reference") }

func (r *reference) save() error {
	content, err := json.Marshal(r.state)
	if err != nil {
		return err
	}
	if err := r.c.Faults.Point("reference.before-save"); err != nil {
		return err
	}
	if r.bug == "forget the switch" {
		forgotten := r.state
		forgotten.Rules, forgotten.Want = view.EveryLine, 0
		content, _ = json.Marshal(forgotten)
	}
	if err := durable.Save(r.path(), "reference", 1, content); err != nil {
		return err
	}
	r.saved = r.state.At.Clone()
	return r.c.Faults.Point("reference.after-save")
}

func (r *reference) Run(ctx context.Context) error {
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.ended = true
	}()
	b, err := eventlog.Inputs(ctx, r.c.Log, r.c.Topics)
	if err != nil {
		return architecture.UnlessStopped(ctx, err)
	}
	if err := b.Verify(r.c.Topics, r.state.At); err != nil {
		var p *eventlog.PositionError
		if !errors.As(err, &p) || r.bug != "skip what is gone" {
			return err
		}
		r.state.At = coverage.Max(r.state.At, b.Start)
	}
	g, ctx := errgroup.WithContext(ctx)
	for p := range r.state.At.Orders {
		g.Go(func() error { return r.follow(ctx, r.c.Topics.Orders, p, r.state.At.Orders[p]) })
		g.Go(func() error { return r.follow(ctx, r.c.Topics.Customers, p, r.state.At.Customers[p]) })
	}
	g.Go(func() error { return r.switchRules(ctx) })
	g.Go(func() error { return r.writeAlerts(ctx) })
	if r.bug != "overlook added partitions" {
		g.Go(func() error {
			return eventlog.WatchPartitions(ctx, r.c.Log, r.c.Topics, len(r.state.At.Orders), r.c.PartitionCheck, r.c.Logger)
		})
	}
	err = g.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (r *reference) follow(ctx context.Context, topic string, p int, from int64) error {
	cursor, err := r.c.Log.Open(ctx, topic, p, from)
	if err != nil {
		return err
	}
	defer cursor.Close()
	d := event.NewDecoder()
	for {
		records, err := cursor.Next(ctx)
		if err != nil {
			return err
		}
		for _, record := range records {
			if err := r.deadLetter(ctx, d, topic, p, record); err != nil {
				return err
			}
		}
		if err := r.take(topic, p, records); err != nil {
			return err
		}
	}
}

func (r *reference) deadLetter(ctx context.Context, d *event.Decoder, topic string, p int, record eventlog.Record) error {
	reason := error(nil)
	if topic == r.c.Topics.Orders {
		reason = d.Order(record.Value, new(event.OrderLine))
	} else {
		reason = d.Profile(record.Value, new(event.ProfileChange))
	}
	if reason == nil || r.bug == "swallow poison" {
		return nil
	}
	whole, err := r.c.Log.Fetch(ctx, topic, p, record.Offset)
	if err != nil {
		return err
	}
	letter := eventlog.Record{Key: whole.Key, Value: whole.Value, Headers: []eventlog.Header{
		{Key: "source-topic", Value: []byte(topic)}, {Key: "source-partition", Value: strconv.AppendInt(nil, int64(p), 10)},
		{Key: "source-offset", Value: strconv.AppendInt(nil, record.Offset, 10)}, {Key: "error", Value: []byte(reason.Error())},
	}}
	letters := []eventlog.Record{letter}
	if r.bug == "letter poison twice" {
		letters = append(letters, letter)
	}
	return r.c.Log.Append(ctx, r.c.Topics.DLQ, letters...)
}

func (r *reference) take(topic string, p int, records []eventlog.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	into, at := r.state.Orders, r.state.At.Orders
	if topic == r.c.Topics.Customers {
		into, at = r.state.Customers, r.state.At.Customers
	}
	for _, record := range records {
		into[p] = append(into[p], slices.Clone(record.Value))
		if topic == r.c.Topics.Orders {
			r.state.Known[p] = append(r.state.Known[p], len(r.state.Customers[p]))
		}
		at[p] = record.Offset + 1
	}
	r.told, r.counts = nil, nil
	if err := r.save(); err != nil {
		return err
	}
	announced := r.state.At.Clone()
	if r.bug == "announce ahead" {
		announced.Orders[p]++
	}
	r.announcer.Announce(announced, int(r.state.Rules))
	return nil
}

func (r *reference) switchRules(ctx context.Context) error {
	for {
		r.mu.Lock()
		if r.state.Want != 0 {
			r.state.Rules, r.state.Want = r.state.Want, 0
			r.state.Reigns = append(r.state.Reigns, architecture.Reign{Rules: r.state.Rules, From: r.state.At.Clone()})
			if err := r.save(); err != nil {
				r.mu.Unlock()
				return err
			}
			r.progress = &architecture.Progress{Rules: r.state.Rules, Switched: true}
			r.announcer.Announce(r.state.At.Clone(), int(r.state.Rules))
		}
		r.mu.Unlock()
		select {
		case <-r.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

func (r *reference) Answer(_ context.Context, q view.Query) (architecture.Answer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, rules, at := r.c.Params, r.state.Rules, r.state.At.Clone()
	orders, h := r.tell().orders, r.tell().history
	if r.bug == "gap is inclusive" {
		p.SessionGap--
	}
	asked := q
	if r.bug == "limit before last" && q.Last > 0 {
		q.Last = 0
	}
	rows, err := h.Answer(h.End(), rules, p, q)
	if err != nil {
		return architecture.Answer{}, err
	}
	if r.c.Policy == architecture.Bounded && q.View == view.RevenueBySegment && r.bug != "correct the join" {
		rows = q.Apply(r.segments(orders, rules))
	}
	switch {
	case r.bug == "limit before last" && asked.Last > 0:
		rows = view.Query{View: q.View, Last: asked.Last}.Apply(rows)
	case r.bug == "wrong tie" && q.View == view.TopProducts:
		for i := 1; i < len(rows); i++ {
			if a, b := &rows[i-1], &rows[i]; a.Num[0] == b.Num[0] && a.Num[3] == b.Num[3] {
				a.Text, b.Text, a.Num[2], b.Num[2] = b.Text, a.Text, b.Num[2], a.Num[2]
			}
		}
	case r.bug == "a window short" && q.View == view.RollingRevenue && len(rows) > 0:
		rows = rows[1:]
	case r.bug == "one customer too many" && q.View == view.DistinctCustomers:
		for i := range rows {
			rows[i].Num[1]++
		}
	case r.bug == "old coverage with new rows":
		for i := range at.Orders {
			at.Orders[i] = max(0, at.Orders[i]-1)
		}
	}
	return architecture.Answer{View: q.View, Rules: rules, Coverage: at, Rows: rows}, nil
}

// tell asks the oracle anew if more records came, or the rules changed.
func (r *reference) tell() *told {
	if r.told != nil && r.told.rules == r.state.Rules {
		return r.told
	}
	n := &told{rules: r.state.Rules, orders: r.state.Orders, history: oracle.NewHistory(len(r.state.Orders))}
	if r.c.Policy == architecture.Bounded {
		n.orders, n.counts = r.kept(n.rules)
	}
	for i, values := range n.orders {
		seen := map[string]bool{}
		for offset, v := range values {
			n.history.AddOrder(i, int64(offset), r.distort(v, offset, seen))
		}
	}
	for i, values := range r.state.Customers {
		for offset, v := range values {
			n.history.AddCustomer(i, int64(offset), r.distortProfile(v, offset))
		}
	}
	r.told = n
	return n
}

// distortProfile plants those that concern single profile changes.
func (r *reference) distortProfile(v []byte, offset int) []byte {
	switch r.bug {
	case "ignore deletions":
		var c event.ProfileChange
		if event.NewDecoder().Profile(v, &c) == nil && c.Deleted {
			return nil
		}
	case "ignore later profile changes":
		if offset > 0 {
			return nil
		}
	}
	return v
}

// distort plants the bugs that concern single lines.
func (r *reference) distort(v []byte, offset int, seen map[string]bool) []byte {
	var l event.OrderLine
	if event.NewDecoder().Order(v, &l) != nil {
		return v
	}
	again := seen[l.EventID]
	seen[l.EventID] = true
	switch {
	case r.bug == "count duplicates" && again:
		l.EventID += "-" + strconv.Itoa(offset)
	case r.bug == "drop late lines" && l.EventTimeMS%5 == 0:
		return nil
	case r.bug == "adjustments are money" && l.Kind == event.Adjustment:
		l.Kind = event.Cancellation
	case r.bug == "fold codes always":
		l.StockCode = view.FoldASCII(l.StockCode)
	default:
		return v
	}
	return event.AppendOrder(nil, &l)
}

func (r *reference) Coverage() *coverage.Announcer { return r.announcer }

func (r *reference) Reprocess(_ context.Context, rules view.Rules) (architecture.Outcome, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.ended && r.bug != "go on after the end":
		return 0, architecture.ErrEnded
	case r.state.Want != 0:
		return architecture.Busy, nil
	case r.state.Rules == rules:
		return architecture.Served, nil
	}
	r.state.Want = rules
	if err := r.save(); err != nil {
		return 0, err
	}
	r.wake <- struct{}{}
	return architecture.Started, nil
}

func (r *reference) Status() architecture.Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := r.count()
	if r.c.Policy == architecture.Bounded {
		unusable := counts.Unusable
		counts = r.tell().counts
		counts.Unusable = unusable
		if r.bug == "late lines are not reported" {
			counts.Late = 0
		}
	}
	return architecture.Status{Alerts: r.alerted, Reigns: r.state.Reigns, Rules: r.state.Rules, Coverage: r.state.At.Clone(), Committed: r.saved.Clone(), Unusable: counts.Unusable,
		Duplicate: counts.Duplicate, Conflicting: counts.Conflict, Late: counts.Late, Reprocess: r.progress}
}

// count counts all records by the exact definitions, if more came.
func (r *reference) count() oracle.Counts {
	if r.counts != nil {
		return *r.counts
	}
	h := oracle.NewHistory(len(r.state.Orders))
	for i := range r.state.Orders {
		for o, v := range r.state.Orders[i] {
			h.AddOrder(i, int64(o), v)
		}
		for o, v := range r.state.Customers[i] {
			h.AddCustomer(i, int64(o), v)
		}
	}
	counts, err := h.Counts(h.End())
	if err != nil {
		panic(fmt.Sprintf("the reference's own coverage: %v", err))
	}
	r.counts = &counts
	return counts
}

var referencePoints = []string{"reference.before-save", "reference.after-save"}
