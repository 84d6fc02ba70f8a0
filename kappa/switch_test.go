package kappa

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"archbench/common/architecture"
	"archbench/common/coverage"
	"archbench/common/event"
	"archbench/common/eventlog"
	"archbench/common/eventlog/memlog"
	"archbench/common/view"
)

// holding is a log in which all readers of orders but the first get nothing until
// they are let go.
type holding struct {
	eventlog.Log
	orders string
	opened atomic.Int64
	letGo  chan struct{}
}

func (h *holding) Open(ctx context.Context, topic string, partition int, offset int64) (eventlog.Cursor, error) {
	c, err := h.Log.Open(ctx, topic, partition, offset)
	if err != nil || topic != h.orders || h.opened.Add(1) == 1 {
		return c, err
	}
	return held{c, h.letGo}, nil
}

type held struct {
	eventlog.Cursor
	letGo chan struct{}
}

func (h held) Next(ctx context.Context) ([]eventlog.Record, error) {
	select {
	case <-h.letGo:
		return h.Cursor.Next(ctx)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// stuck runs a Kappa that has read some lines and was asked for other rules. Its
// replay is near and cannot come nearer, so that the served instance stands still
// for the switch, until it is let go.
func stuck(t *testing.T) (k *Kappa, letGo func()) {
	t.Helper()
	mem := memlog.New()
	topics := eventlog.TopicsOf("stuck")
	if err := mem.Create(t.Context(), 1, topics.All()...); err != nil {
		t.Fatal(err)
	}
	for n := range 20 {
		l := event.OrderLine{Version: 1, EventID: fmt.Sprint(n), OrderID: "1", Kind: event.Sale, CustomerID: 1, Country: "France", StockCode: "22423",
			Quantity: 1, UnitPriceMilli: 1, EventTimeMS: 1_735_689_600_000}
		if err := mem.Append(t.Context(), topics.Orders, eventlog.Record{Key: event.AppendKey(nil, &l), Value: event.AppendOrder(nil, &l)}); err != nil {
			t.Fatal(err)
		}
	}
	log := &holding{Log: mem, orders: topics.Orders, letGo: make(chan struct{})}
	k, err := Open(t.Context(), architecture.Config{Log: log, Topics: topics, Dir: t.TempDir(), CommitInterval: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	k.pause = time.Hour // only the test ends it
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
	await(t, k, func(a coverage.Announcement) bool { return a.Coverage.Sum() == 20 })
	if o, err := k.Reprocess(t.Context(), view.MerchandiseOnly); err != nil || o != architecture.Started {
		t.Fatalf("reprocess: outcome %d, %v", o, err)
	}
	for end := time.Now().Add(time.Minute); !standsStill(k.served.Load()); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no switch was tried")
		}
	}
	return k, func() { close(log.letGo) }
}

func await(t *testing.T, k *Kappa, ok func(coverage.Announcement) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for a := k.Coverage().Latest(); !ok(a); {
		var err error
		if a, err = k.Coverage().Next(ctx, a.Version); err != nil {
			t.Fatalf("%v; it stands at %+v", err, a)
		}
	}
}

// standsStill reports whether an instance is kept from advancing, which only a switch does.
func standsStill(in *instance) bool {
	if in.gate.TryRLock() {
		in.gate.RUnlock()
		return false
	}
	return true
}

func TestStatusAnswersWhileASwitchIsTried(t *testing.T) {
	k, letGo := stuck(t)
	answer := make(chan architecture.Status, 1)
	go func() { answer <- k.Status() }()
	select {
	case s := <-answer:
		if s.Rules != view.EveryLine || s.Reprocess == nil || !s.Reprocess.Running || s.Coverage.Sum() != 20 {
			t.Errorf("before the switch the status is %+v, reprocess %+v", s, s.Reprocess)
		}
		if !standsStill(k.served.Load()) {
			t.Error("the status came when the try was over")
		}
	case <-time.After(10 * time.Second):
		t.Error("the status waits for the switch")
	}
	letGo()
	await(t, k, func(a coverage.Announcement) bool { return a.Rules == int(view.MerchandiseOnly) })
	if p := k.Status().Reprocess; p == nil || !p.Switched || p.Running {
		t.Errorf("after the switch the status says of the reprocess: %+v", p)
	}
}

// A status shows one side of the switch or the other: rules, reigns and progress
// change together.
func TestStatusShowsTheSwitchWhole(t *testing.T) {
	k, letGo := stuck(t)
	go func() {
		time.Sleep(5 * time.Millisecond) // some answers before; nothing waits for this
		letGo()
	}()
	for before, end := 0, time.Now().Add(time.Minute); ; before++ {
		s := k.Status()
		switched := s.Reprocess != nil && s.Reprocess.Switched
		reign := s.Reigns[len(s.Reigns)-1]
		if reign.Rules != s.Rules || switched != (s.Rules == view.MerchandiseOnly) || !s.Coverage.AtLeast(s.Committed) || !s.Coverage.AtLeast(reign.From) {
			t.Fatalf("half a switch: rules %d, reigns %+v, reprocess %+v, coverage %s, committed %s", s.Rules, s.Reigns, s.Reprocess, s.Coverage, s.Committed)
		}
		if switched {
			t.Logf("%d answers before the switch", before)
			return
		}
		if time.Now().After(end) {
			t.Fatal("no switch came")
		}
	}
}
