package readers_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"archbench/bench/clock"
	"archbench/bench/readers"
	"archbench/common/serving"
	"archbench/common/view"
)

func read(t *testing.T, path string) (all []readers.Entry) {
	t.Helper()
	if err := readers.ReadSpool(path, func(e *readers.Entry) error { all = append(all, *e); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestSpoolKeepsEverything(t *testing.T) {
	path := filepath.Join(t.TempDir(), "answers.zst")
	s, err := readers.NewSpool(path)
	if err != nil {
		t.Fatal(err)
	}
	want := []readers.Entry{
		{SentUS: 1, ReceivedUS: 5, View: "top_products", Query: "last=2", Body: []byte(`{"a":"` + strings.Repeat("é", 100_000) + `"}`)},
		{SentUS: 2, ReceivedUS: 3, View: "spend_alerts", Error: "503", Body: []byte{}},
		{SentUS: 3, ReceivedUS: 9, View: "x", Body: []byte("y")},
	}
	for i := range want {
		s.Put(&want[i])
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, read(t, path)); d != "" {
		t.Error(d)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("%v %v, want the spool alone", left, err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content[:len(content)-8], 0o644); err != nil {
		t.Fatal(err)
	}
	if err := readers.ReadSpool(path, func(*readers.Entry) error { return nil }); err == nil || !strings.Contains(err.Error(), "torn") {
		t.Errorf("a torn spool: %v", err)
	}
}

// The n-th question depends on nothing but the plan; every view is asked for
// in every one of the three ways.
func TestQuestions(t *testing.T) {
	p := readers.Plan{PerSecond: 10, Seed: 3, EarliestMS: 1_000_000, LatestMS: 9_000_000_000, Params: view.DefaultParams()}
	seen := map[string]bool{}
	for n := range int64(600) {
		q := p.Query(n)
		if d := cmp.Diff(q, p.Query(n)); d != "" {
			t.Fatalf("question %d is asked in two ways: %s", n, d)
		}
		kind := "whole"
		switch {
		case q.Last > 0:
			kind = "recent"
		case q.From != nil:
			kind = "range"
			if *q.From < p.EarliestMS || *q.From >= p.LatestMS || *q.To <= *q.From {
				t.Errorf("question %d asks for [%d, %d)", n, *q.From, *q.To)
			}
		}
		seen[string(q.View)+" "+kind] = true
	}
	for _, v := range view.Names() {
		for _, kind := range []string{"recent", "range", "whole"} {
			if !seen[string(v)+" "+kind] {
				t.Errorf("%s is never asked for: %s", v, kind)
			}
		}
	}
	for d, want := range map[time.Duration]int64{0: 0, time.Millisecond: 1, 100 * time.Millisecond: 1, 101 * time.Millisecond: 2, time.Second: 10, 30 * time.Second: 300} {
		if got := p.Within(d); got != want {
			t.Errorf("%d questions within %v, want %d", got, d, want)
		}
	}
}

// An engine that does not answer holds no later question up, and its time counts
// from when the question was due.
func TestTheScheduleDoesNotWait(t *testing.T) {
	release := make(chan struct{})
	var asked atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const enough = 20
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch n := asked.Add(1); {
		case n == enough: // all of them are under way, none was answered
			close(release)
			cancel()
		case n%7 == 3:
			<-release
			http.Error(w, "not today", http.StatusServiceUnavailable)
			return
		}
		<-release
		fmt.Fprint(w, "answer to ", r.URL.RawQuery)
	}))
	defer server.Close()
	path := filepath.Join(t.TempDir(), "answers.zst")
	spool, err := readers.NewSpool(path)
	if err != nil {
		t.Fatal(err)
	}
	client := serving.NewClient(server.URL, "")
	defer client.Close()
	c := clock.New()
	start := time.Now()
	plan := readers.Plan{PerSecond: 200, Seed: 1, Params: view.DefaultParams()}
	n := readers.Run(ctx, client, plan, start, c, spool)
	if err := spool.Close(); err != nil {
		t.Fatal(err)
	}
	all := read(t, path)
	if n < enough || int64(len(all)) != n {
		t.Fatalf("%d asked, %d spooled, want at least %d and all", n, len(all), enough)
	}
	failed := 0
	for _, e := range all {
		if after := e.SentUS - c.US(start); after%5000 > 1 && after%5000 < 4999 {
			t.Errorf("a question was due %d µs after the start, not on the schedule", after)
		}
		if e.ReceivedUS < e.SentUS {
			t.Errorf("received %d µs before it was sent", e.SentUS-e.ReceivedUS)
		}
		if e.Error != "" {
			failed++
			if !strings.Contains(e.Error, "not today") {
				t.Errorf("error %q", e.Error)
			}
		} else if string(e.Body) != "answer to "+e.Query {
			t.Errorf("body %q for %q", e.Body, e.Query)
		}
	}
	if failed == 0 {
		t.Error("no failure was spooled")
	}
}
