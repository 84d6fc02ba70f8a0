package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"archbench/common/alerts"
	"archbench/common/architecture"
	"archbench/common/coverage"
	"archbench/common/event"
	"archbench/common/eventlog"
	"archbench/common/eventlog/kafkalog"
	"archbench/common/oracle"
	"archbench/common/serving"
	"archbench/common/stream"
	"archbench/common/view"
	broker "archbench/testcontainers"
)

// The test binary is also the embedded broker and the architectures' processes.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 || os.Args[1] != "fake-broker" && os.Args[1] != "fake-engine" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	if os.Args[1] == "fake-broker" {
		err = broker.ServeEmbedded(ctx, os.Args[2], os.Args[3])
	} else { // fake-engine serve NAME --config PATH
		err = serveFake(ctx, os.Args[3], os.Args[5], "127.0.0.1:0")
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

// How the fake engines behave, by the name they are started under.
const (
	right    = "kappa"
	wrong    = "lambda"  // adds a line to the first row of every answer
	stalling = "unified" // covers no event after the first hundred of the live part, and keeps to the exact definitions
	exactly  = stalling
	ahead    = "ahead" // an engine behind a URL that announces one live record more than there is
)

// fake is the oracle behind the contract.
type fake struct {
	name      string
	c         ProcessConfig
	log       eventlog.Log
	topics    eventlog.Topics
	announcer *coverage.Announcer

	mu      sync.RWMutex
	history *oracle.History
	at      coverage.Coverage
	rules   view.Rules
	commits int64
	ready   int64 // records in the log at the start

	// What it needs for alerts, by partition of orders.
	seen     []*stream.Seen
	spending []*stream.Spending
	reigns   []architecture.Reign
}

func readConfig(path string) (c ProcessConfig, err error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal(content, &c)
}

func serveFake(ctx context.Context, name, config, listen string) error {
	if err := os.WriteFile(filepath.Join(filepath.Dir(config), "pid"), []byte(strconv.Itoa(os.Getpid())), 0o644); err != nil {
		return err
	}
	c, err := readConfig(config)
	if err != nil {
		return err
	}
	log, err := kafkalog.Open(ctx, kafkalog.Config{Bootstrap: c.Bootstrap})
	if err != nil {
		return err
	}
	defer log.Close()
	f := &fake{name: name, c: c, log: log, topics: eventlog.TopicsOf(c.Topics), announcer: coverage.NewAnnouncer(), rules: c.Rules}
	b, err := eventlog.Inputs(ctx, log, f.topics)
	if err != nil {
		return err
	}
	f.at, f.history, f.ready = coverage.Zero(len(b.End.Orders)), oracle.NewBoundedHistory(len(b.End.Orders), c.Lateness), b.End.Sum()
	if !c.Guarantee.RecognisesDuplicates() {
		f.history.WithoutIDs()
	}
	f.reigns = architecture.FirstReign(f.rules, len(b.End.Orders))
	for range b.End.Orders {
		seen := stream.NewSeen()
		if c.Policy == architecture.Bounded && name != exactly {
			seen = stream.NewBoundedSeen(c.Lateness)
		}
		if !c.Guarantee.RecognisesDuplicates() {
			seen.WithoutIDs()
		}
		f.seen, f.spending = append(f.seen, seen), append(f.spending, stream.NewSpending(c.Params))
	}
	f.announcer.Announce(f.at.Clone(), int(f.rules))
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	server, err := serving.NewServer(f, l.Addr().String(), "", nil)
	if err != nil {
		return err
	}
	fmt.Printf("{\"address\":%q}\n", l.Addr())
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return server.Serve(ctx, l) })
	g.Go(func() error { return f.Run(ctx) })
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

func (f *fake) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for p := range f.at.Orders {
		g.Go(func() error {
			return f.follow(ctx, f.topics.Orders, p, func(r eventlog.Record) (raised []eventlog.Record) {
				f.history.AddOrder(p, r.Offset, r.Value)
				f.at.Orders[p] = r.Offset + 1
				return f.alert(p, r)
			})
		})
		g.Go(func() error {
			return f.follow(ctx, f.topics.Customers, p, func(r eventlog.Record) []eventlog.Record {
				f.history.AddCustomer(p, r.Offset, r.Value)
				f.at.Customers[p] = r.Offset + 1
				return nil
			})
		})
	}
	if err := g.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func (f *fake) follow(ctx context.Context, topic string, p int, add func(eventlog.Record) []eventlog.Record) error {
	c, err := f.log.Open(ctx, topic, p, 0)
	if err != nil {
		return err
	}
	defer c.Close()
	for {
		records, err := c.Next(ctx)
		if err != nil {
			return err
		}
		f.mu.Lock()
		if f.name == stalling && f.at.Sum() > f.ready+100 {
			f.mu.Unlock()
			<-ctx.Done()
			return ctx.Err()
		}
		var raised []eventlog.Record
		for _, r := range records {
			raised = append(raised, add(r)...)
		}
		f.commits++
		vector := f.at.Clone()
		if f.name == ahead && f.at.Sum() > f.ready {
			vector.Orders[0]++
		}
		if err := f.log.Append(ctx, f.topics.Alerts, raised...); err != nil {
			f.mu.Unlock()
			return err
		}
		f.announcer.Announce(vector, int(f.rules))
		f.mu.Unlock()
	}
}

// alert returns the records that a line raises; the wrong engine forgets those of
// customers with even numbers and tells the others' sums wrong.
func (f *fake) alert(p int, r eventlog.Record) []eventlog.Record {
	var l event.OrderLine
	if event.NewDecoder().Order(r.Value, &l) != nil || f.seen[p].Claim(&l) != stream.First {
		return nil
	}
	c, crossed := f.spending[p].Add(&l, f.rules)
	if !crossed || f.name == wrong && c.CustomerID%2 == 0 {
		return nil
	}
	if f.name == wrong {
		c.GrossMilli++
	}
	value, err := json.Marshal(alerts.Alert{Version: 1, Rules: f.rules, WindowStart: c.WindowStart, CustomerID: c.CustomerID, GrossMilli: c.GrossMilli,
		OrdersPartition: p, OrdersOffset: r.Offset, DetectedUS: time.Now().UnixMicro()})
	if err != nil {
		panic(err) // numbers alone
	}
	raised := eventlog.Record{Key: strconv.AppendInt(nil, c.CustomerID, 10), Value: value}
	return []eventlog.Record{raised, raised} // delivery is at least once
}

func (f *fake) Answer(_ context.Context, q view.Query) (architecture.Answer, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	a := architecture.Answer{View: q.View, Rules: f.rules, Coverage: f.at.Clone()}
	var err error
	switch {
	case f.c.Policy == architecture.Bounded && f.name != exactly:
		a.Rows, err = f.history.BoundedAnswer(a.Coverage, nil, f.rules, f.c.Params, q)
	case !f.c.Guarantee.RecognisesDuplicates():
		a.Rows, err = f.history.BoundedAnswer(a.Coverage, &a.Coverage, f.rules, f.c.Params, q)
	default:
		a.Rows, err = f.history.Answer(a.Coverage, f.rules, f.c.Params, q)
	}
	if err != nil {
		return a, err
	}
	if f.name == wrong && len(a.Rows) > 0 {
		a.Rows[0].Num[2]++
	}
	return a, nil
}

func (f *fake) Coverage() *coverage.Announcer { return f.announcer }

func (f *fake) Reprocess(_ context.Context, rules view.Rules) (architecture.Outcome, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = rules
	f.reigns = append(f.reigns, architecture.Reign{Rules: rules, From: f.at.Clone()})
	f.announcer.Announce(f.at.Clone(), int(f.rules))
	return architecture.Started, nil
}

func (f *fake) Status() architecture.Status {
	f.mu.RLock()
	defer f.mu.RUnlock()
	policy := f.c.Policy
	if f.name == exactly {
		policy = architecture.Exact
	}
	return architecture.Status{Architecture: f.name, Policy: policy, Rules: f.rules, Coverage: f.at.Clone(), Reigns: slices.Clone(f.reigns), Commits: f.commits, Batch: &architecture.BatchStatus{Runs: f.commits}}
}
