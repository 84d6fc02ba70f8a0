package unified

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"archbench/common/architecture"
	"archbench/common/event"
	"archbench/common/eventlog"
	"archbench/common/eventlog/memlog"
	"archbench/common/intake"
	"archbench/unified/lake"
	"archbench/workloads"
	"archbench/workloads/synthetic"
)

// feed puts synthetic events into an instance's inbox, as its followers would.
type feed struct {
	t      testing.TB
	c      architecture.Config
	u      *Unified
	closed bool
	source *synthetic.Source
	next   map[workloads.Topic][]int64
}

const feedPartitions = 4

// newFeed opens an instance on an empty log, and a feed into it.
func newFeed(t testing.TB, c architecture.Config) *feed {
	t.Helper()
	log := memlog.New()
	t.Cleanup(func() { log.Close() })
	c.Log, c.Topics = log, eventlog.TopicsOf("feed")
	if err := log.Create(t.Context(), feedPartitions, c.Topics.All()...); err != nil {
		t.Fatal(err)
	}
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	u, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	f := &feed{t: t, c: c, u: u}
	f.rewind(0)
	t.Cleanup(f.stop)
	return f
}

// rewind goes back to where so many events were delivered.
func (f *feed) rewind(events int) {
	f.t.Helper()
	source, err := synthetic.New(synthetic.DefaultParams())
	if err != nil {
		f.t.Fatal(err)
	}
	f.source, f.next = source, map[workloads.Topic][]int64{workloads.Orders: make([]int64, feedPartitions), workloads.Customers: make([]int64, feedPartitions)}
	var e workloads.Event
	for range events {
		if err := f.source.Next(&e); err != nil {
			f.t.Fatal(err)
		}
		f.next[e.Topic][eventlog.Partition(e.AppendKey(nil), feedPartitions)]++
	}
}

// stop closes the instance, as the end of Run does.
func (f *feed) stop() {
	if f.closed {
		return
	}
	f.closed = true
	f.u.abandonMerge()
	if err := f.u.close(); err != nil {
		f.t.Error(err)
	}
}

// put delivers the next n events.
func (f *feed) put(n int) {
	f.t.Helper()
	var e workloads.Event
	d := event.NewDecoder()
	for range n {
		if err := f.source.Next(&e); err != nil {
			f.t.Fatal(err)
		}
		value := e.AppendValue(nil, 0)
		p := eventlog.Partition(e.AppendKey(nil), feedPartitions)
		offset := f.next[e.Topic][p]
		f.next[e.Topic][p]++
		var err error
		if e.Topic == workloads.Orders {
			r := intake.OrderRecord{Offset: offset, Value: value}
			err = errors.Join(d.Order(value, &r.Line), f.u.inbox.putOrders(f.t.Context(), p, intake.Orders{Records: []intake.OrderRecord{r}, Next: offset + 1}))
		} else {
			r := intake.CustomerRecord{Offset: offset, Value: value}
			err = errors.Join(d.Profile(value, &r.Change), f.u.inbox.putCustomers(f.t.Context(), p, intake.Customers{Records: []intake.CustomerRecord{r}, Next: offset + 1}))
		}
		if err != nil {
			f.t.Fatal(err)
		}
	}
}

// The lake is told of a file without looking into it, so what is written must have the
// columns of its table, also when it was merged.
func TestFilesHaveTheColumnsOfTheirTables(t *testing.T) {
	f := newFeed(t, architecture.Config{Threads: 1})
	for range 3 * mergeAt {
		f.put(60)
		f.batch()
		if m := f.u.upkeep.merge; m != nil {
			if err := f.u.finishMerge(t.Context(), <-m.done); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, table := range tables(1) {
		files := f.u.lake.Files(table.namespace, table.name)
		for _, file := range files {
			info, err := os.Stat(file.Path)
			if err != nil {
				t.Fatal(err)
			}
			var columns string
			var rows int64
			source := readParquet([]lake.File{file})
			err = f.u.db.QueryRowContext(t.Context(), fmt.Sprintf(`SELECT (SELECT string_agg(column_name || ' ' || column_type, ', ') FROM (DESCRIBE SELECT * FROM %[1]s)), count(*) FROM %[1]s`, source)).Scan(&columns, &rows)
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.ReplaceAll(table.columns, `"`, ""); columns != want || rows != file.Rows || info.Size() != file.Bytes {
				t.Errorf("%s.%s: a file with the columns\n%s, %d rows and %d bytes, want\n%s, %d and %d", table.namespace, table.name, columns, rows, info.Size(), want, file.Rows, file.Bytes)
			}
		}
		if len(files) == 0 || len(files) == 3*mergeAt {
			t.Errorf("%s.%s has %d files: nothing was written, or nothing merged", table.namespace, table.name, len(files))
		}
	}
}

// A merge that gets no time is waited for.
func TestStarvedMergeIsWaitedFor(t *testing.T) {
	f := newFeed(t, architecture.Config{Threads: 1})
	f.put(60)
	f.batch()
	f.u.abandonMerge()
	starved := &merge{table: tables(1)[0], cancel: func() {}, done: make(chan error, 1)}
	starved.done <- nil
	f.u.upkeep.merge = starved
	for n := range patience {
		if f.u.upkeep.merge != starved {
			t.Fatalf("given up or waited for after %d micro-batches, want %d", n, patience)
		}
		f.put(60)
		if err := f.u.microBatch(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if f.u.upkeep.merge == starved {
		t.Errorf("not waited for after %d micro-batches", patience)
	}
}

// batch makes a micro-batch of what was put, and the upkeep that is due.
func (f *feed) batch() time.Duration {
	f.t.Helper()
	began := time.Now()
	if err := f.u.microBatch(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	select {
	case err := <-f.u.mergeDone():
		if err := f.u.finishMerge(f.t.Context(), err); err != nil {
			f.t.Fatal(err)
		}
	default:
	}
	return time.Since(began)
}
