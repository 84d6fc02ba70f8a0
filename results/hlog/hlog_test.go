package hlog_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"archbench/results/hlog"
)

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.hlog")
	h := hdrhistogram.New(1, 3_600_000_000, 3)
	for _, us := range []int64{0, 1, 999, 1_000_000, 3_600_000_000} {
		if err := h.RecordValues(us, 3); err != nil {
			t.Fatal(err)
		}
	}
	start := time.UnixMilli(1_795_416_726_963)
	if err := hlog.Write(path, h, start, start.Add(30*time.Second)); err != nil {
		t.Fatal(err)
	}
	got, err := hlog.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Equals(h) {
		t.Errorf("%d values up to %d, want %d up to %d", got.TotalCount(), got.Max(), h.TotalCount(), h.Max())
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, says := range []string{"#[Histogram log format version", "#[StartTime: 1795416726 ", `"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"`, ",30.000000,"} {
		if !strings.Contains(string(content), says) {
			t.Errorf("the log does not say %s:\n%.400s", says, content)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.hlog")
	if _, err := hlog.Read(path); err == nil {
		t.Error("a log that is not there was read")
	}
	for name, content := range map[string]string{"empty": "", "no histogram": "#[StartTime: 1.0 (seconds since epoch)]\n", "damaged": "\"StartTimestamp\"\n0.0,1.0,2.0,HISTFAAAnotbase64!\n"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if h, err := hlog.Read(path); err == nil {
			t.Errorf("%s: %v", name, h)
		}
	}
}
