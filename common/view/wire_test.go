package view_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"archbench/common/view"
)

// anyRows draws rows of a schema, texts with everything that needs quoting.
func anyRows(s view.Schema) *rapid.Generator[[]view.Row] {
	return rapid.Custom(func(t *rapid.T) []view.Row {
		rows := make([]view.Row, rapid.IntRange(0, 5).Draw(t, "rows"))
		for i := range rows {
			num := 0
			for _, c := range s.Columns {
				if c.Text {
					rows[i].Text = rapid.OneOf(rapid.String(), rapid.StringOfN(rapid.SampledFrom([]rune("a,\"\r\n\\<ö")), 0, 6, -1)).Draw(t, c.Name)
					continue
				}
				rows[i].Num[num] = rapid.Int64().Draw(t, c.Name)
				num++
			}
		}
		return rows
	})
}

func TestRowsSurviveCSVAndJSON(t *testing.T) {
	for _, v := range view.Names() {
		s := v.Schema()
		t.Run(string(v), rapid.MakeCheck(func(t *rapid.T) {
			rows := anyRows(s).Draw(t, "rows")
			var b bytes.Buffer
			if err := s.WriteCSV(&b, rows); err != nil {
				t.Fatal(err)
			}
			text := b.String()
			got, err := s.ReadCSV(&b)
			if err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			if d := cmp.Diff(len(rows), len(got)); d != "" || !slices.Equal(rows, got) {
				t.Fatalf("%q became %v, want %v", text, got, rows)
			}
			for _, r := range rows {
				line := s.AppendJSON(nil, &r)
				var cells []json.RawMessage
				if err := json.Unmarshal(line, &cells); err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				if got, err := s.ParseJSON(cells); err != nil || got != r {
					t.Fatalf("%s became %v, %v, want %v", line, got, err, r)
				}
			}
		}))
	}
}

// TestCSVIsWhatOthersRead holds the writer against the standard library's reader
// and the rule: quotes only where they are needed.
func TestCSVIsWhatOthersRead(t *testing.T) {
	s := view.RevenueBySegment.Schema()
	for text, want := range map[string]string{
		"plain":     "plain",
		" spaced ":  " spaced ",
		"a;b\tc":    "a;b\tc",
		"a,b":       `"a,b"`,
		`say "no"`:  `"say ""no"""`,
		"two\nrows": "\"two\nrows\"",
		"":          "",
	} {
		line := string(s.AppendCSV(nil, &view.Row{Text: text, Num: [view.MaxNums]int64{1, -2, 3}}))
		if full := "1," + want + ",-2,3\n"; line != full {
			t.Errorf("%q is written %q, want %q", text, line, full)
		}
		fields, err := csv.NewReader(strings.NewReader(line)).Read()
		if err != nil || fields[1] != text {
			t.Errorf("the library reads %q from %q, %v", fields, line, err)
		}
	}
}

func TestReadCSVRefuses(t *testing.T) {
	s := view.RevenueBySegment.Schema()
	const header = "window_start,segment,lines,net_milli\n"
	for text, says := range map[string]string{
		"":                                       "EOF",
		"window_start,segment\n":                 "want window_start,segment,lines,net_milli",
		header + "1,vip,2\n":                     "3 columns",
		header + "1,vip,2,3,4\n":                 "5 columns",
		header + "1,vip,two,3\n":                 `lines is "two"`,
		header + "1,vip,2,3\n2,vip,2,99":         "line 3 is cut off",
		header + "1,\"vip\"x,2,3\n":              "line 2",
		header + "1,\"vip,2,3\n":                 "cut off",
		header + "1,vip,9223372036854775808,3\n": "not an integer",
	} {
		if _, err := s.ReadCSV(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", text, err, says)
		}
	}
}

func TestParseJSONRefuses(t *testing.T) {
	s := view.DistinctCustomers.Schema()
	for _, text := range []string{`[1,"x"]`, `[1,null,3]`, `[1,2,3]`, `[1.0,"x",3]`, `[1,"x",null]`, `["1","x",3]`, `[1,"x",9223372036854775808]`} {
		var cells []json.RawMessage
		if err := json.Unmarshal([]byte(text), &cells); err != nil {
			t.Fatal(err)
		}
		if r, err := s.ParseJSON(cells); err == nil {
			t.Errorf("%s became %v", text, r)
		}
	}
}

func benchmarkRows(n int) []view.Row {
	rows := make([]view.Row, n)
	for i := range rows {
		rows[i] = view.Row{Text: "United Kingdom", Num: [view.MaxNums]int64{1_291_191_960_000 + int64(i), 12, 480, 1_234_560, -2_550, 1_232_010}}
	}
	return rows
}

func BenchmarkWriteCSV(b *testing.B) {
	s, rows := view.RevenueByCountry.Schema(), benchmarkRows(10_000)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.WriteCSV(io.Discard, rows); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*len(rows))/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkAppendJSON(b *testing.B) {
	s, rows := view.RevenueByCountry.Schema(), benchmarkRows(10_000)
	var body []byte
	b.ReportAllocs()
	for b.Loop() {
		body = body[:0]
		for i := range rows {
			body = s.AppendJSON(body, &rows[i])
		}
	}
	b.ReportMetric(float64(b.N*len(rows))/b.Elapsed().Seconds(), "rows/s")
}
