package lambda

import (
	"context"
	"fmt"
	"testing"
	"time"

	"archbench/common/architecture"
	"archbench/common/event"
	"archbench/common/eventlog"
	"archbench/common/eventlog/memlog"
	"archbench/common/view"
)

// patience bounds every wait; it is only reached when something hangs.
const patience = 60 * time.Second

// fixture is a log in memory, and a data directory, for instances of Lambda.
type fixture struct {
	t      *testing.T
	log    *memlog.Log
	config architecture.Config
}

func newFixture(t *testing.T, partitions int, batchInterval time.Duration) *fixture {
	t.Helper()
	log := memlog.New()
	t.Cleanup(func() { log.Close() })
	topics := eventlog.TopicsOf("lambda")
	if err := log.Create(t.Context(), partitions, topics.All()...); err != nil {
		t.Fatal(err)
	}
	return &fixture{t, log, architecture.Config{Log: log, Topics: topics, Dir: t.TempDir(), BatchInterval: batchInterval, Threads: 1, MemoryBytes: 512 << 20}}
}

func (f *fixture) open() *Lambda {
	f.t.Helper()
	l, err := Open(f.t.Context(), f.config)
	if err != nil {
		f.t.Fatal(err)
	}
	return l
}

// run runs an instance until stop is called or the test ends.
func (f *fixture) run(l *Lambda) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	var once bool
	stop = func() {
		f.t.Helper()
		if once {
			return
		}
		once = true
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				f.t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			f.t.Errorf("Run did not end within %v", patience)
		}
	}
	f.t.Cleanup(stop)
	return stop
}

// sales appends n lines with ids from first on.
func (f *fixture) sales(first, n int) {
	f.t.Helper()
	var records []eventlog.Record
	for i := range n {
		l := sale(first + i)
		records = append(records, eventlog.Record{Key: event.AppendKey(nil, &l), Value: event.AppendOrder(nil, &l)})
	}
	if err := f.log.Append(f.t.Context(), f.config.Topics.Orders, records...); err != nil {
		f.t.Fatal(err)
	}
}

// sale is the nth line of a history: customers, products and minutes in turn.
func sale(n int) event.OrderLine {
	id := fmt.Sprint("order-", n)
	return event.OrderLine{Version: 1, EventID: id, OrderID: id, Kind: event.Sale, CustomerID: int64(1 + n%97), Country: "France", StockCode: fmt.Sprint("P", n%31),
		Quantity: 1, UnitPriceMilli: 1000, EventTimeMS: time.Date(2025, 1, 1, 0, 0, n, 0, time.UTC).UnixMilli()}
}

// Each reprocess is asked for at the moment when the one before is announced,
// while batches follow each other without a pause.
func TestReprocessesFollowEachOther(t *testing.T) {
	f := newFixture(t, 2, time.Millisecond)
	f.sales(0, 100)
	l := f.open()
	f.run(l)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for n := range 20 {
		want := []view.Rules{view.MerchandiseOnly, view.EveryLine}[n%2]
		at := l.Coverage().Latest()
		asked := make(chan error, 1)
		go func() { _, err := l.Reprocess(ctx, want); asked <- err }()
		select {
		case err := <-asked:
			if err != nil {
				t.Fatal(err)
			}
		case <-ctx.Done():
			t.Fatalf("reprocess %d was not taken", n)
		}
		for at.Rules != int(want) {
			var err error
			if at, err = l.Coverage().Next(ctx, at.Version); err != nil {
				t.Fatalf("reprocess %d did not switch: %v", n, err)
			}
		}
	}
}
