package ledger_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"archbench/bench/ledger"
	"archbench/bench/load"
	"archbench/common/coverage"
	"archbench/common/eventlog"
	"archbench/common/eventlog/memlog"
)

func entries(us ...int64) []ledger.Entry {
	es := make([]ledger.Entry, len(us))
	for i, at := range us {
		es[i] = ledger.Entry{Index: int64(i), IntendedUS: at}
	}
	return es
}

func at(us, orders, customers int64) ledger.Announced {
	return ledger.Announced{ReceivedUS: us, Coverage: coverage.Coverage{Orders: coverage.Vector{orders}, Customers: coverage.Vector{customers}}}
}

// Three digits are kept, so figures are compared by their first ones.
func about(got, want int64) bool { return got >= want && got <= want+want/500+1 }

func TestFreshness(t *testing.T) {
	l := &ledger.Ledger{Orders: [][]ledger.Entry{entries(500, 1000, 2000, 3000, 4000)}, Customers: [][]ledger.Entry{entries(1500)}}
	window := ledger.Window{FromUS: 1000, ToUS: 4000} // the first order is history, the last comes after
	f, err := l.Freshness([]ledger.Announced{at(600, 1, 0), at(1100, 1, 0), at(2100, 3, 0), at(3500, 4, 1), at(4100, 5, 1)}, window, 9000)
	if err != nil {
		t.Fatal(err)
	}
	// 2100-1000, 2100-2000, 3500-3000, 3500-1500
	if f.TotalCount() != 4 || f.Min() != 100 || !about(f.Max(), 2000) || f.Announcements != 2 || f.Never != 0 {
		t.Errorf("count %d min %d max %d announcements %d never %d", f.TotalCount(), f.Min(), f.Max(), f.Announcements, f.Never)
	}
}

// After a crash coverage falls back; what was lost counts when it is covered again.
func TestFreshnessAfterCrash(t *testing.T) {
	l := &ledger.Ledger{Orders: [][]ledger.Entry{entries(1000, 1000)}, Customers: [][]ledger.Entry{{}}}
	all := ledger.Window{ToUS: 9000}
	again := []ledger.Announced{at(1100, 2, 0), at(5000, 1, 0), at(6000, 2, 0)}
	f, err := l.Freshness(again, all, 9000)
	if err != nil || f.Min() != 100 || !about(f.Max(), 5000) || f.Never != 0 {
		t.Errorf("min %d max %d never %d %v, want 100, 5000, 0", f.Min(), f.Max(), f.Never, err)
	}
	if n := ledger.WentBack(again); n != 1 {
		t.Errorf("coverage went back %d times, want 1", n)
	}
	f, err = l.Freshness(again[:2], all, 9000)
	if err != nil || f.Never != 1 || !about(f.Max(), 8000) {
		t.Errorf("never %d max %d %v, want one event with its age, 8000", f.Never, f.Max(), err)
	}
	f, err = l.Freshness(nil, all, 9000)
	if err != nil || f.Never != 2 || f.Announcements != 0 {
		t.Errorf("never %d of 2, announcements %d, %v", f.Never, f.Announcements, err)
	}
}

func TestFreshnessRefusesNonsense(t *testing.T) {
	l := &ledger.Ledger{Orders: [][]ledger.Entry{entries(1000)}, Customers: [][]ledger.Entry{{}}}
	for says, a := range map[string]ledger.Announced{
		"before its cause":          at(500, 1, 0),
		"holds only 1 records":      at(2000, 2, 0),
		"partition 0 was sent to":   {ReceivedUS: 2000},
		"is over an hour":           at(1000+3_700_000_000, 1, 0),
		"covers offset 0 of partit": at(2000, 1, 1),
	} {
		if _, err := l.Freshness([]ledger.Announced{a}, ledger.Window{ToUS: 9000}, 9000); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, want %q", a, err, says)
		}
	}
}

func TestCheckRefusesWhatCannotBeTrue(t *testing.T) {
	l := &ledger.Ledger{Orders: [][]ledger.Entry{entries(1000)}, Customers: [][]ledger.Entry{{}}}
	for says, a := range map[string]ledger.Announced{
		"500 µs before it was due": at(500, 1, 0),
		"holds only 1 records":     at(2000, 2, 0),
		"holds only 0 records":     at(2000, 1, 1),
		"partition 0 was sent to":  {ReceivedUS: 2000},
	} {
		if err := l.Check([]ledger.Announced{a}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, want %q", a, err, says)
		}
	}
	if err := l.Check([]ledger.Announced{at(500, 0, 0), at(1000, 1, 0)}); err != nil {
		t.Error(err)
	}
}

func TestAge(t *testing.T) {
	l := &ledger.Ledger{Orders: [][]ledger.Entry{entries(1000, 2000, 3000)}, Customers: [][]ledger.Entry{entries(2500)}}
	ages := l.Ages(ledger.Window{FromUS: 1000, ToUS: 9000})
	for _, c := range []struct{ orders, customers, now, want int64 }{
		{3, 1, 9000, 0},    // all is there
		{2, 1, 9000, 6000}, // the last order is missing
		{2, 0, 9000, 6500}, // and an older profile change
		{0, 1, 9000, 8000}, // the oldest missing one counts
		{2, 0, 2800, 300},  // the order was not due yet
		{3, 1, 2000, 0},    // more than was due
		{2, 1, 2900, 0},    // what is missing was not due yet
	} {
		if got := ages.At(at(0, c.orders, c.customers).Coverage, c.now); got != c.want {
			t.Errorf("%+v: age %d", c, got)
		}
	}
	// An answer that even lacks history has the age of the window's first event.
	later := l.Ages(ledger.Window{FromUS: 2000, ToUS: 3000})
	if got := later.At(at(0, 0, 1).Coverage, 9000); got != 7000 {
		t.Errorf("behind the window's beginning: age %d, want 7000", got)
	}
	if got := later.At(at(0, 2, 1).Coverage, 9000); got != 0 {
		t.Errorf("only events after the window are missing: age %d, want 0", got)
	}
}

type values struct{ orders, customers []string }

func (v *values) AddOrder(_ int, _ int64, value []byte) { v.orders = append(v.orders, string(value)) }
func (v *values) AddCustomer(_ int, _ int64, value []byte) {
	v.customers = append(v.customers, string(value))
}

// written makes a log of one partition that holds the orders given, where those
// of sent are what the loader knows of.
func written(t *testing.T, sent, inLog []string) (*memlog.Log, eventlog.Topics, *load.Sent) {
	t.Helper()
	l, topics := memlog.New(), eventlog.TopicsOf("t")
	t.Cleanup(func() { l.Close() })
	if err := l.Create(context.Background(), 1, topics.All()...); err != nil {
		t.Fatal(err)
	}
	for _, v := range inLog {
		if err := l.Append(context.Background(), topics.Orders, eventlog.Record{Key: []byte("1"), Value: []byte(v)}); err != nil {
			t.Fatal(err)
		}
	}
	s := &load.Sent{Orders: [][]load.Record{nil}, Customers: [][]load.Record{nil}}
	for i, v := range sent {
		s.Orders[0] = append(s.Orders[0], load.Record{Index: int64(i), IntendedUS: int64(i) * 10, Hash: load.Hash([]byte(v))})
	}
	return l, topics, s
}

func TestReadMatchesTheLog(t *testing.T) {
	for name, c := range map[string]struct {
		sent, inLog []string
		want        []int64 // event index by offset
		repeated    int64
		says        string
	}{
		"as sent":           {sent: []string{"a", "b", "c"}, inLog: []string{"a", "b", "c"}, want: []int64{0, 1, 2}},
		"a write repeated":  {sent: []string{"a", "b", "c", "d"}, inLog: []string{"a", "b", "c", "b", "c", "d"}, want: []int64{0, 1, 2, 1, 2, 3}, repeated: 2},
		"the last repeated": {sent: []string{"a", "b"}, inLog: []string{"a", "b", "b"}, want: []int64{0, 1, 1}, repeated: 1},
		"equal values":      {sent: []string{"x", "x", "x"}, inLog: []string{"x", "x", "x"}, want: []int64{0, 1, 2}},
		"one is lost":       {sent: []string{"a", "b", "c"}, inLog: []string{"a", "b"}, says: "1 of 3 records sent are not in the log"},
		"a strange one":     {sent: []string{"a"}, inLog: []string{"z", "a"}, says: "was not sent there"},
		"nothing":           {},
	} {
		t.Run(name, func(t *testing.T) {
			log, topics, sent := written(t, c.sent, c.inLog)
			v := &values{}
			l, err := ledger.Read(t.Context(), log, topics, sent, v)
			if c.says != "" {
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Fatalf("%v, want %q", err, c.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []int64
			for _, e := range l.Orders[0] {
				got = append(got, e.Index)
				if e.IntendedUS != e.Index*10 {
					t.Errorf("event %d has intended time %d", e.Index, e.IntendedUS)
				}
			}
			if !cmp.Equal(got, c.want) || l.Repeated != c.repeated || !cmp.Equal(v.orders, c.inLog) {
				t.Errorf("indexes %v repeated %d values %v", got, l.Repeated, v.orders)
			}
			if end := l.End(); end.Orders[0] != int64(len(c.inLog)) || end.Customers[0] != 0 {
				t.Errorf("end is %s", end)
			}
		})
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.zst")
	want := &ledger.Ledger{Orders: [][]ledger.Entry{entries(5, 6), {{Index: 7, IntendedUS: 1_795_416_726_963_123}}}, Customers: [][]ledger.Entry{nil, entries(9)}}
	if err := want.Write(path); err != nil {
		t.Fatal(err)
	}
	got, err := ledger.ReadFile(path, 2)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if _, err := ledger.ReadFile(path, 1); err == nil || !strings.Contains(err.Error(), "out of place") {
		t.Errorf("another number of partitions: %v", err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content[:len(content)/2], 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.ReadFile(path, 2); err == nil {
		t.Error("a torn ledger was read")
	}
}

func TestReadsWentBack(t *testing.T) {
	read := func(sent, received, covered int64) ledger.Reading {
		return ledger.Reading{SentUS: sent, ReceivedUS: received, Coverage: coverage.Coverage{Orders: coverage.Vector{covered, 7}, Customers: coverage.Vector{0, 0}}}
	}
	for name, c := range map[string]struct {
		reads []ledger.Reading
		want  int64
	}{
		"none":                       {nil, 0},
		"growing":                    {[]ledger.Reading{read(10, 20, 1), read(30, 40, 1), read(50, 60, 2)}, 0},
		"back":                       {[]ledger.Reading{read(10, 20, 2), read(30, 40, 1), read(50, 60, 2)}, 1},
		"back from any before":       {[]ledger.Reading{read(10, 20, 3), read(30, 40, 1), read(50, 60, 2)}, 2},
		"side by side":               {[]ledger.Reading{read(10, 40, 3), read(30, 35, 1)}, 0},
		"in any order of the answer": {[]ledger.Reading{read(50, 60, 1), read(10, 20, 2)}, 1},
	} {
		if got := ledger.ReadsWentBack(c.reads); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
