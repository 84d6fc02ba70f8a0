package synthetic

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"archbench/common/event"
	"archbench/workloads"
	"archbench/workloads/draws"
)

// Version of the generator. A change to what any event holds is a new version.
const Version = 1

// Params are what the events depend on besides the index.
type Params struct {
	Seed        uint64
	TimeScale   int64 // business time per time of a run at the nominal rate
	NominalRate int64 // events per second that the event times are laid out for
	Customers   int64
	Products    int64
	// Events is how many there are; 0: no end.
	Events int64
}

// DefaultParams are those of the workload.
func DefaultParams() Params {
	return Params{Seed: 1, TimeScale: 60, NominalRate: 2000, Customers: 20_000, Products: 4_000}
}

// origin is the event time of event 0.
var origin = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()

// profileEvery: event i is a profile change where i is a multiple of it.
const profileEvery = 200

// basket is how many consecutive events share an order. Where one is a profile
// change the order has a line less.
const basket = 5

var countries = []string{"France", "Germany", "EIRE", "Spain", "Netherlands", "Belgium", "Switzerland", "Portugal", "Australia", "Norway",
	"Italy", "Channel Islands", "Finland", "Cyprus", "Sweden", "Austria", "Denmark", "Japan", "Poland", "USA"}

// Source yields the events in order.
type Source struct {
	p        Params
	next     int64
	cZipf    zipf
	prodZipf zipf
}

// New returns a source at event 0.
func New(p Params) (*Source, error) {
	if p.TimeScale < 1 || p.NominalRate < 1 || p.Customers < 1 || p.Products < 1 || p.Events < 0 {
		return nil, fmt.Errorf("synthetic workload: time_scale %d, nominal_rate %d, customers %d and products %d must be positive, events %d not negative",
			p.TimeScale, p.NominalRate, p.Customers, p.Products, p.Events)
	}
	return &Source{p: p, cZipf: newZipf(p.Customers, 0.8), prodZipf: newZipf(p.Products, 0.9)}, nil
}

// Next implements workloads.Source.
func (s *Source) Next(e *workloads.Event) error {
	if s.p.Events > 0 && s.next >= s.p.Events {
		return io.EOF
	}
	s.At(s.next, e)
	s.next++
	return nil
}

// EventTimeMS is the event time of event i, before any disturbance.
func (s *Source) EventTimeMS(i int64) int64 { return origin + i*1000*s.p.TimeScale/s.p.NominalRate }

// At overwrites e with event i.
func (s *Source) At(i int64, e *workloads.Event) {
	*e = workloads.Event{Index: i}
	if i%profileEvery == 0 {
		s.profile(i, e)
		return
	}
	order := i / basket
	ofOrder, ofLine := draws.For(s.p.Seed, uint64(order)<<1), draws.For(s.p.Seed, uint64(i)<<1|1)
	l := &e.Line
	l.Version = 1
	l.OrderID = strconv.FormatInt(1_000_000+order, 10)
	l.Line = i%basket + 1
	l.EventID = l.OrderID + "-" + strconv.FormatInt(l.Line, 10)
	l.Kind, l.Country = event.Sale, "United Kingdom"
	l.EventTimeMS = s.EventTimeMS(i)
	if !ofOrder.Chance(0, 25, 100) { // a quarter of the lines are guests'
		l.CustomerID = 10_000 + s.cZipf.rank(ofOrder.Unit(1))
	}
	if ofOrder.Chance(2, 9, 100) {
		l.Country = countries[ofOrder.Below(3, int64(len(countries)))]
	}
	l.StockCode = stockCode(s.prodZipf.rank(ofLine.Unit(0)), ofLine)
	l.Quantity = 1 + ofLine.Below(1, 12)
	if ofLine.Chance(2, 5, 100) {
		l.Quantity *= 20 // a wholesaler's line
	}
	l.UnitPriceMilli = s.price(i, ofLine)
	switch n := ofOrder.Below(4, 1000); {
	case n < 17:
		l.Kind, l.Quantity, l.OrderID = event.Cancellation, -l.Quantity, "C"+l.OrderID
	case n < 22 && l.Line == 1:
		l.Kind, l.UnitPriceMilli = event.Adjustment, 0
	}
}

// price follows a daily rhythm: people spend more around noon than at night.
// The rhythm is in what is bought and not in when, because event time is a
// straight line of the index.
func (s *Source) price(i int64, d draws.Draws) int64 {
	hour := (s.EventTimeMS(i) / 3_600_000) % 24
	rhythm := [24]int64{4, 3, 3, 3, 3, 4, 5, 7, 9, 11, 13, 14, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4}
	return (100 + 10*d.Below(3, 900)) * rhythm[hour] / 10
}

// stockCode is mostly a product, sometimes in small letters, sometimes postage
// or a fee, which rules 2 exclude.
func stockCode(product int64, d draws.Draws) string {
	code := strconv.FormatInt(20_000+product, 10)
	switch n := d.Below(4, 1000); {
	case n < 5:
		return "POST"
	case n < 8:
		return "m"
	case n < 10:
		return "gift_0001_" + code[3:]
	case n < 40:
		return code + "a"
	case n < 120:
		return code + "A"
	}
	return code
}

// profile makes a change of some customer, valid from up to two days before or
// after the lines around it.
func (s *Source) profile(i int64, e *workloads.Event) {
	d := draws.For(s.p.Seed, uint64(i)<<1|1)
	e.Topic = workloads.Customers
	e.Change = event.ProfileChange{Version: 1, CustomerID: 10_000 + s.cZipf.rank(d.Unit(0)), ValidFromMS: s.EventTimeMS(i) + d.Below(1, 96*3_600_000) - 48*3_600_000}
	if d.Chance(2, 5, 100) {
		e.Change.Deleted = true
	} else {
		e.Change.Segment = event.Segments()[d.Below(3, 4)]
	}
}

// Lines implements workloads.Source.
func (s *Source) Lines() int64 {
	if s.p.Events == 0 {
		return -1
	}
	return s.p.Events - (s.p.Events+profileEvery-1)/profileEvery
}

// Events implements workloads.Source.
func (s *Source) Events() int64 {
	if s.p.Events == 0 {
		return -1
	}
	return s.p.Events
}

// Describe implements workloads.Source.
func (s *Source) Describe() workloads.Description {
	n := func(v int64) string { return strconv.FormatInt(v, 10) }
	return workloads.Description{ID: "synthetic", Source: "generator version " + strconv.Itoa(Version), Parameters: map[string]string{
		"seed": strconv.FormatUint(s.p.Seed, 10), "time_scale": n(s.p.TimeScale), "nominal_rate": n(s.p.NominalRate),
		"customers": n(s.p.Customers), "products": n(s.p.Products), "events": n(s.p.Events),
	}}
}

// Close implements workloads.Source.
func (s *Source) Close() error { return nil }

// zipf draws ranks from 0 with probability falling as (rank+1)^-s, by inverting
// the continuous distribution, which is exact enough for a workload and needs no table.
type zipf struct{ n, exponent, total float64 }

func newZipf(n int64, s float64) zipf {
	z := zipf{n: float64(n), exponent: 1 - s}
	z.total = math.Pow(z.n+1, z.exponent) - 1
	return z
}

func (z zipf) rank(u float64) int64 {
	r := math.Pow(u*z.total+1, 1/z.exponent) - 1
	return int64(math.Min(math.Max(r, 0), z.n-1))
}
