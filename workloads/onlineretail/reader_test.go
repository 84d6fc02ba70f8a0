package onlineretail

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"archbench/common/event"
	"archbench/workloads"
)

const tiny = "testdata/tiny.csv" // made up by hand for these tests

func readAll(t *testing.T, path string) (events []workloads.Event) {
	t.Helper()
	s, err := Open(path, "csv")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for {
		var e workloads.Event
		if err := s.Next(&e); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	lines := int64(0)
	for _, e := range events {
		if e.Topic == workloads.Orders {
			lines++
		}
	}
	if s.Lines() != lines || s.Events() != int64(len(events)) {
		t.Errorf("Lines %d and Events %d, yielded are %d and %d", s.Lines(), s.Events(), lines, len(events))
	}
	return events
}

func at(s string) int64 {
	t, err := time.Parse(time.DateTime, s)
	if err != nil {
		panic(err)
	}
	return t.UnixMilli()
}

func TestFixture(t *testing.T) {
	start := at("2009-01-01 00:00:00")
	change := func(c int64, segment string, from int64) workloads.Event {
		return workloads.Event{Topic: workloads.Customers, Change: event.ProfileChange{Version: 1, CustomerID: c, Segment: segment, ValidFromMS: from}}
	}
	line := func(order string, n int64, kind event.Kind, customer int64, country, code string, quantity, price int64, when string) workloads.Event {
		return workloads.Event{Line: event.OrderLine{Version: 1, EventID: order + "-" + string(rune('0'+n)), OrderID: order, Line: n, Kind: kind, CustomerID: customer,
			Country: country, StockCode: code, Quantity: quantity, UnitPriceMilli: price, EventTimeMS: at(when)}}
	}
	want := []workloads.Event{
		change(7, "vip", start),
		change(13, "business", start),
		change(20, "consumer", start),
		change(20, "vip", at("2011-06-01 00:00:00")),
		line("900001", 1, event.Sale, 20, "France", "A100", 3, 12500, "2011-02-01 09:00:00"),
		line("900001", 2, event.Sale, 20, "France", "a100", 1, 15000, "2011-02-01 09:00:00"),
		line("900002", 1, event.Sale, 0, "Korea, South", "B200", 2, 1, "2011-02-01 09:05:00"),
		line("900001", 3, event.Sale, 20, "France", "C300", 1, 7125, "2011-02-01 09:06:00"), // the invoice goes on after another
		line("C900003", 1, event.Cancellation, 20, "France", "A100", -1, 12500, "2011-02-01 10:00:00"),
		line("900004", 1, event.Adjustment, 0, "Österreich", "A100", -4, 0, "2011-02-01 10:30:00"),
		line("900005", 1, event.Adjustment, 7, "Spain", "D", 5, 0, "2011-02-02 00:00:00"),
		line("A900006", 1, event.Adjustment, 0, "Spain", "B", 1, -11062060, "2011-06-01 00:00:00"),
		line("A900007", 1, event.Sale, 0, "Spain", "B", 1, 11062060, "2011-06-01 00:00:00"),
		line("c900008", 1, event.Sale, 13, "Spain", "POST", 1, 18000, "2011-12-09 12:50:00"), // only a capital C cancels
	}
	for i := range want {
		want[i].Index = int64(i)
	}
	if d := cmp.Diff(want, readAll(t, tiny)); d != "" {
		t.Error(d)
	}
}

func compress(t *testing.T, content []byte) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	return z.EncodeAll(content, nil)
}

func write(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func content(t *testing.T) []byte {
	t.Helper()
	b, err := os.ReadFile(tiny)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// However the file is packed, the events are the same; the checksum is that of the CSV.
func TestPackings(t *testing.T) {
	plain, want := content(t), readAll(t, tiny)
	for name, path := range map[string]string{
		"zst":             write(t, "x.csv.zst", compress(t, plain)),
		"byte-order mark": write(t, "x.csv", append([]byte("\ufeff"), plain...)),
		"no last newline": write(t, "x.csv", bytes.TrimSuffix(plain, []byte("\n"))),
	} {
		if d := cmp.Diff(want, readAll(t, path)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	crlf := readAll(t, write(t, "x.csv", bytes.ReplaceAll(plain, []byte("\n"), []byte("\r\n"))))
	if d := cmp.Diff(want, crlf); d != "" {
		t.Errorf("CRLF: %s", d)
	}
	s, err := Open(write(t, "x.csv.zst", compress(t, plain)), "online-retail")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	sum := sha256.Sum256(plain)
	if d := s.Describe(); d.SHA256 != hex.EncodeToString(sum[:]) || !strings.Contains(d.Note, "checksum") || d.ID != "online-retail" {
		t.Errorf("%+v: want the checksum of the CSV, and a note that it is unknown", d)
	}
}

func TestDamagedLines(t *testing.T) {
	const good = "900001,A100,OAK,3,2011-02-01 09:00:00,12.5,20,France"
	for _, c := range []struct{ from, to, names string }{
		{"12.5", "12.3456", "thousandths"},
		{"12.5", "1e3", "UnitPrice"},
		{"12.5", "12,5", "9 fields"},
		{"12.5", "", "UnitPrice"},
		{"12.5", "-", "UnitPrice"},
		{"12.5", "+1", "UnitPrice"},
		{"12.5", "1.2.3", "UnitPrice"},
		{"12.5", "99999999999999999999", "too large"},
		{"12.5", "999999999", "beyond"},
		{",3,", ",3.0,", "Quantity"},
		{",3,", ",,", "Quantity"},
		{",3,", ",9223372036854775807,", "beyond"},
		{"2011-02-01 09:00:00", "2/1/2011 9:00", "InvoiceDate"},
		{"2011-02-01 09:00:00", "2011-02-30 09:00:00", "InvoiceDate"},
		{"2011", "1999", "2000 to 2100"},
		{"2011", "2101", "2000 to 2100"},
		{",20,", ",20.0,", "CustomerID"},
		{",20,", ",-20,", "CustomerID"},
		{",20,", ",+20,", "CustomerID"},
		{"900001", "", "InvoiceNo"},
		{"A100", "", "StockCode"},
		{"France", "", "Country"},
		{"France", "Fr\xffnce", "UTF-8"},
		{"A100", strings.Repeat("A", maxTextBytes+1), "StockCode"},
		{",France", "", "7 fields"},
		{"OAK", `O"AK`, "quote"},
		{"OAK", `"OAK`, "quote"},
	} {
		bad := strings.Replace(good, c.from, c.to, 1)
		if bad == good {
			t.Fatalf("%q is not in the line", c.from)
		}
		// a record over two lines before it: it is the file's lines that are counted
		csv := strings.Join(header, ",") + "\n" + good + "\n" + strings.Replace(good, "OAK", "\"O\nAK\"", 1) + "\n" + bad + "\n" + good + "\n"
		_, err := Open(write(t, "bad.csv", []byte(csv)), "csv")
		var l *LineError
		if !errors.As(err, &l) || l.Line != 5 || !strings.Contains(err.Error(), c.names) || !strings.Contains(err.Error(), "bad.csv line 5") {
			t.Errorf("%q for %q: %v, want an error of line 5 that names %s", c.to, c.from, err, c.names)
		}
	}
}

func TestUnusualLinesAreRead(t *testing.T) {
	const good = "900001,A100,OAK,3,2011-02-01 09:00:00,12.5,20,France"
	for _, c := range []struct{ from, to string }{
		{"12.5", "12.5000"}, {"12.5", "-0.5"}, {"12.5", "007"}, {",3,", ",-3,"}, {",20,", ",0,"}, {",20,", ",,"}, {"OAK", "O\xffAK"}, {"900001", "C"},
	} {
		csv := strings.Join(header, ",") + "\n" + strings.Replace(good, c.from, c.to, 1) + "\n"
		if _, err := Open(write(t, "x.csv", []byte(csv)), "csv"); err != nil {
			t.Errorf("%q for %q: %v", c.to, c.from, err)
		}
	}
}

func TestDamagedFiles(t *testing.T) {
	big := append([]byte(strings.Join(header, ",")+"\n"), bytes.Repeat([]byte("900001,A100,OAK,3,2011-02-01 09:00:00,12.5,20,France\n"), 50_000)...)
	packed := compress(t, big)
	flipped := bytes.Clone(packed)
	flipped[len(flipped)-2] ^= 0x40 // within the checksum
	for _, c := range []struct {
		name, file string
		content    []byte
		names      string
	}{
		{"empty", "x.csv", nil, "the first line must be InvoiceNo"},
		{"another header", "x.csv", []byte("a,b\n1,2\n"), "the first line must be InvoiceNo"},
		{"no zstd", "x.csv.zst", big, "get it again"},
		{"cut off", "x.csv.zst", packed[:len(packed)/2], "get it again"},
		{"checksum", "x.csv.zst", flipped, "get it again"},
	} {
		_, err := Open(write(t, c.file, c.content), "csv")
		var l *LineError
		if !errors.As(err, &l) || !strings.Contains(err.Error(), c.names) {
			t.Errorf("%s: %v, want an error that says %q", c.name, err, c.names)
		}
	}
}

func TestEmptyFileHasNoEvents(t *testing.T) {
	if got := readAll(t, write(t, "x.csv", []byte(strings.Join(header, ",")+"\n"))); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

// Whatever the file holds, the loader either yields lines that are usable on the
// topic or ends with an error that names a line.
func FuzzLoader(f *testing.F) {
	plain, err := os.ReadFile(tiny)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plain)
	f.Add(bytes.Replace(plain, []byte("12.5"), []byte("-99999.9999"), 1))
	f.Add(bytes.Replace(plain, []byte("20"), []byte("18446744073709551615"), 1))
	f.Fuzz(func(t *testing.T, data []byte) {
		in := &file{path: "fuzz.csv"}
		err := in.begin(bytes.NewReader(data))
		d := event.NewDecoder()
		for n := 1; err == nil; n++ {
			var l, back event.OrderLine
			if err = in.next(&l); err != nil {
				break
			}
			l.EventID, l.Line = l.OrderID+"-1", int64(n)
			if err := d.Order(event.AppendOrder(nil, &l), &back); err != nil || l != back {
				t.Fatalf("%+v became %+v: %v", l, back, err)
			}
		}
		var l *LineError
		if err != io.EOF && (!errors.As(err, &l) || l.Line < 1) {
			t.Fatalf("the reading ended with %v", err)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	plain, err := os.ReadFile(tiny)
	if err != nil {
		b.Fatal(err)
	}
	head, lines, _ := bytes.Cut(plain, []byte("\n"))
	const copies = 10_000
	data := append(append(head, '\n'), bytes.Repeat(lines, copies)...)
	b.ReportAllocs()
	for b.Loop() {
		in := &file{path: "bench.csv"}
		if err := in.begin(bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
		var l event.OrderLine
		for {
			if err := in.next(&l); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.N)*copies*10/b.Elapsed().Seconds(), "events/s")
}
