package oracle_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"archbench/common/event"
	"archbench/common/oracle"
	"archbench/common/view"
)

// benchLines is how many lines the benchmarks' history has: at the workload's
// usual rates, one every 30 ms of event time, about the last 4 hours a quarter
// of a million lines.
const benchLines = 500_000

// benchHistory has four partitions and the repetition of the real thing: one
// dominant country, a few thousand codes and customers.
func benchHistory(lines int) *oracle.History {
	rng := rand.New(rand.NewPCG(1, 2))
	h := oracle.NewHistory(4)
	var orders, customers [4]int64
	var value []byte
	for c := range int64(5000) {
		p := c % 4
		change := event.ProfileChange{Version: 1, CustomerID: c, Segment: event.Segments()[c/4%4], ValidFromMS: event.MinTimeMS}
		value = event.AppendProfile(value[:0], &change)
		h.AddCustomer(int(p), customers[p], value)
		customers[p]++
	}
	for i := range int64(lines) {
		c := rng.Int64N(5000)
		l := event.OrderLine{
			Version: 1, EventID: fmt.Sprintf("%d-%d", i/8, i%8), OrderID: fmt.Sprint(i / 8), Kind: event.Sale, CustomerID: c,
			Country: "United Kingdom", StockCode: fmt.Sprint(20000 + rng.IntN(4000)), Quantity: 1 + rng.Int64N(10), UnitPriceMilli: 1 + rng.Int64N(9000),
			EventTimeMS: event.MinTimeMS + i*30,
		}
		if rng.IntN(10) == 0 {
			l.Country = fmt.Sprint("country ", rng.IntN(37))
		}
		value = event.AppendOrder(value[:0], &l)
		h.AddOrder(int(c%4), orders[c%4], value)
		orders[c%4]++
	}
	return h
}

func heapBytes() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

func BenchmarkAdd(b *testing.B) {
	for b.Loop() {
		before := heapBytes()
		h := benchHistory(benchLines)
		b.ReportMetric((heapBytes()-before)/benchLines, "B/line")
		runtime.KeepAlive(h)
	}
	b.ReportMetric(float64(b.N)*benchLines/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkAnswer(b *testing.B) {
	h := benchHistory(benchLines)
	from := int64(event.MinTimeMS) + benchLines/2*30
	to := from + 3_600_000
	for _, v := range view.Names() {
		for _, q := range []struct {
			name string
			view.Query
		}{
			{"whole", view.Query{View: v}},
			{"last 3", view.Query{View: v, Last: 3}},
			{"an hour", view.Query{View: v, From: &from, To: &to}},
		} {
			b.Run(string(v)+"/"+q.name, func(b *testing.B) {
				for b.Loop() {
					if _, err := h.Answer(h.End(), view.EveryLine, view.DefaultParams(), q.Query); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
