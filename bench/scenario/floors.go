package scenario

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"archbench/bench/load"
	"archbench/bench/stats"
	"archbench/common/event"
	"archbench/common/eventlog"
	"archbench/results"
	"archbench/workloads/catalog"
)

// floorRate is the rate of produce→consume, events per second.
const floorRate = 2_000

// floors measures what this machine does with no architecture at all.
func (r *run) floors(ctx context.Context) (_ *results.Floors, failed error) {
	topics := eventlog.TopicsOf(r.prefix("floors"))
	created, err := r.kafkalog.Provide(ctx, 1, topics.Orders, topics.Customers)
	if err != nil {
		return nil, err
	}
	defer func() { failed = errors.Join(failed, r.remove(context.WithoutCancel(ctx), created)) }()
	source, err := catalog.Open(catalog.Choice{Name: catalog.Synthetic, Seed: r.Seed}) // a floor is undisturbed
	if err != nil {
		return nil, err
	}
	defer source.Close()
	l := load.New(r.kafkalog, topics, 1, source, r.clock)
	if _, err := l.History(ctx, r.fixed.floorEvents); err != nil {
		return nil, err
	}
	r.show("measuring the floors")
	f := &results.Floors{}
	if f.ReadPerCPUS, err = r.readRate(ctx, topics.Orders, l, func([]byte) {}); err != nil {
		return nil, err
	}
	decoder, line := event.NewDecoder(), event.OrderLine{}
	if f.DecodePerCPUS, err = r.readRate(ctx, topics.Orders, l, func(v []byte) {
		_ = decoder.Order(v, &line) // all of them are usable; the cost is what counts
	}); err != nil {
		return nil, err
	}
	if f.ProduceConsumeUS, err = r.produceConsume(ctx, topics.Orders, l); err != nil {
		return nil, err
	}
	r.say("floors: read %.2f M and read+decode %.2f M records per CPU second, produce→consume p99 %.1f ms",
		f.ReadPerCPUS/1e6, f.DecodePerCPUS/1e6, float64(deref(f.ProduceConsumeUS.P99))/1000)
	return f, nil
}

func deref(p *int64) int64 {
	if p == nil {
		return 0
	}
	return *p
}

// readRate reads everything sent and returns records per second of this process's CPU time.
func (r *run) readRate(ctx context.Context, topic string, l *load.Loader, each func([]byte)) (float64, error) {
	c, err := r.kafkalog.Open(ctx, topic, 0, 0)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	n := len(l.Sent().Orders[0])
	began := cpuSeconds()
	for read := 0; read < n; {
		records, err := c.Next(ctx)
		if err != nil {
			return 0, err
		}
		for i := range records {
			each(records[i].Value)
		}
		read += len(records)
	}
	return float64(n) / (cpuSeconds() - began), nil
}

func cpuSeconds() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// produceConsume is the latency from the intended time to a bare reader.
func (r *run) produceConsume(ctx context.Context, topic string, l *load.Loader) (*results.Percentiles, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	from := int64(len(l.Sent().Orders[0]))
	c, err := r.kafkalog.Open(ctx, topic, 0, from)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	n := int64(floorRate * r.fixed.floorLive.Seconds())
	sent := make(chan error, 1)
	go func() {
		_, err := l.Live(ctx, time.Now(), floorRate, n)
		if err != nil {
			cancel(err) // what was not sent is not waited for
		}
		sent <- err
	}()
	h, decoder, line, moments := stats.New(), event.NewDecoder(), event.OrderLine{}, int64(0)
	for seen := int64(0); seen < n*9/10; { // profile changes go elsewhere
		records, err := c.Next(ctx)
		if err != nil {
			return nil, errors.Join(err, context.Cause(ctx))
		}
		now := r.clock.NowUS()
		moments++
		for i := range records {
			if err := decoder.Order(records[i].Value, &line); err != nil {
				return nil, fmt.Errorf("the harness cannot read what it wrote: %w", err)
			}
			if err := h.Record(now - line.EmittedUS); err != nil {
				return nil, err
			}
		}
		seen += int64(len(records))
	}
	if err := <-sent; err != nil {
		return nil, err
	}
	return h.Percentiles(moments, reads), nil
}
