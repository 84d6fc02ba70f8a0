package alerts_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"archbench/common/alerts"
	"archbench/common/eventlog"
	"archbench/common/eventlog/memlog"
	"archbench/common/fault"
	"archbench/common/view"

	"github.com/google/go-cmp/cmp"
)

// broken fails to write as long as it is told to.
type broken struct {
	eventlog.Log
	fails atomic.Bool
	tried atomic.Int64
}

func (b *broken) Append(ctx context.Context, topic string, records ...eventlog.Record) error {
	b.tried.Add(1)
	if b.fails.Load() {
		return errors.New("the broker is away")
	}
	return b.Log.Append(ctx, topic, records...)
}

func alert(customer int64) alerts.Alert {
	return alerts.Alert{Version: 1, Rules: view.EveryLine, WindowStart: 60_000, CustomerID: customer, GrossMilli: 1_000_000, OrdersPartition: 1, OrdersOffset: 5, DetectedUS: 9}
}

func newLog(t *testing.T) *broken {
	l := memlog.New()
	t.Cleanup(func() { l.Close() })
	if err := l.Create(t.Context(), 1, "alerts"); err != nil {
		t.Fatal(err)
	}
	return &broken{Log: l}
}

// written parses what stands in the topic.
func written(t *testing.T, l eventlog.Log) []alerts.Alert {
	t.Helper()
	_, end, err := l.Bounds(context.Background(), "alerts", 0)
	if err != nil {
		t.Fatal(err)
	}
	var all []alerts.Alert
	for o := range end {
		r, err := l.Fetch(context.Background(), "alerts", 0, o)
		if err != nil {
			t.Fatal(err)
		}
		a, err := alerts.Parse(r.Value)
		if err != nil {
			t.Fatalf("%s: %v", r.Value, err)
		}
		all = append(all, a)
	}
	return all
}

// What cannot be written waits and is tried again; it holds up nobody but those who
// ask for room.
func TestOutboxTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog(t)
		l.fails.Store(true)
		o := alerts.NewOutbox(l, "alerts", nil, slog.New(slog.DiscardHandler))
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- o.Run(ctx) }()
		o.Add(alert(1), alert(2))
		time.Sleep(10 * time.Second)
		waiting, before := o.Waiting()
		if len(waiting) != 2 || l.tried.Load() < 5 || o.Counts().Failures != l.tried.Load() {
			t.Fatalf("%d wait after %d attempts, counts %+v", len(waiting), l.tried.Load(), o.Counts())
		}
		for n := range 20_000 {
			o.Add(alert(int64(n)))
		}
		full, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := o.Room(full); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("room in a full outbox: %v", err)
		}
		l.fails.Store(false)
		if err := o.Room(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if waiting, after := o.Waiting(); len(waiting) != 0 || after == before || o.Counts().Written != 20_002 {
			t.Errorf("%d wait, counts %+v", len(waiting), o.Counts())
		}
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
		if d := cmp.Diff([]alerts.Alert{alert(1), alert(2)}, written(t, l)[:2]); d != "" {
			t.Error(d)
		}
	})
}

// A crash before the write or after it leaves the alerts waiting.
func TestOutboxCrashesAroundTheWrite(t *testing.T) {
	for point, inTopic := range map[string]int{alerts.BeforeAlerts: 0, alerts.AfterAlerts: 1} {
		l, faults := newLog(t), fault.NewSet()
		faults.CrashAt(point, 1)
		o := alerts.NewOutbox(l, "alerts", faults, slog.New(slog.DiscardHandler))
		o.Add(alert(1))
		if err := o.Run(t.Context()); !errors.Is(err, fault.ErrCrash) {
			t.Errorf("%s: Run returned %v", point, err)
		}
		if waiting, _ := o.Waiting(); len(waiting) != 1 || len(written(t, l)) != inTopic {
			t.Errorf("%s: %d wait, %d are in the topic", point, len(waiting), len(written(t, l)))
		}
	}
}

func TestParseRefusesWhatIsNoAlert(t *testing.T) {
	for _, v := range []string{
		``, `{}`, `[]`, `{"v":1}`,
		`{"v":2,"rules":1,"window_start":0,"customer_id":1,"gross_milli":1,"orders_partition":0,"orders_offset":0,"detected_us":1}`,
		`{"v":1,"rules":1,"window_start":0,"customer_id":1,"gross_milli":1,"orders_partition":0,"orders_offset":0,"detected_us":1,"more":1}`,
		`{"v":1,"rules":1,"window_start":0,"customer_id":1,"gross_milli":1,"orders_partition":0,"orders_offset":0,"detected_us":1} x`,
	} {
		if a, err := alerts.Parse([]byte(v)); err == nil {
			t.Errorf("%s was read as %+v", v, a)
		}
	}
}
