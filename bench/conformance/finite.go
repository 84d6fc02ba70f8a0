package conformance

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"archbench/common/architecture"
	"archbench/common/eventlog"
	"archbench/common/view"
	"archbench/workloads/workloadtest"
)

// LongStreamVariable makes StaysFinite read another number of lines.
const LongStreamVariable = "ARCHBENCH_TEST_LONG_STREAM"

// residentFrom is how long a stream must be for the whole process to be judged: in a
// shorter one what libraries keep once they have had it still grows.
const residentFrom = 10_000_000

// sample is what an architecture holds at a moment of a long stream.
type sample struct {
	lines int64
	state map[string]int64 // as its status says
	heap  int64            // bytes of live Go objects
	rss   int64            // bytes of the whole process
}

// LongStream is how long a stream of so many lines is here: as LongStreamVariable
// says, else shorter with the race detector.
func LongStream(lines int64) int64 {
	if n, err := strconv.ParseInt(os.Getenv(LongStreamVariable), 10, 64); err == nil {
		return n
	}
	return lines / slowness
}

// StaysFinite sends a long stream through a subject under policy bounded and
// demands that the named sizes of its status do not grow with the stream, and that
// all of the stream is answered for.
func StaysFinite(t *testing.T, s Subject, lines int64, sizes ...string) {
	lines = LongStream(lines)
	checkFlat(t, longStream(t, s, lines), lines, sizes)
}

// StaysWithin sends such a stream too and demands that no size of the status is ever
// beyond a limit that the code promises, far below what the whole stream would make of
// it. It suits what is let go of in few large steps: there means say nothing about growth.
func StaysWithin(t *testing.T, s Subject, lines int64, most map[string]int64) {
	lines = LongStream(lines)
	samples := longStream(t, s, lines)
	for name, most := range most {
		if most > lines/3 {
			t.Fatalf("%s may be %d, which of %d lines proves nothing", name, most, lines)
		}
		var greatest int64
		for _, x := range samples {
			greatest = max(greatest, x.state[name])
		}
		if greatest == 0 || greatest > most {
			t.Errorf("%s was %d at most in a stream of %d lines, want at most %d and more than none", name, greatest, lines, most)
		}
	}
}

// longStream takes a stream through a subject and returns what was held on the way.
func longStream(t *testing.T, s Subject, lines int64) []sample {
	t.Helper()
	topics := eventlog.TopicsOf("long")
	log, err := workloadtest.NewStream(topics, lines)
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.Open(t.Context(), architecture.Config{Log: log, Topics: topics, Dir: t.TempDir(), Policy: architecture.Bounded, Lateness: architecture.DefaultLateness,
		BatchInterval: time.Hour, PartitionCheck: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	began := time.Now()
	samples := follow(t, a, lines, done)
	took := time.Since(began) // sampling included
	checkCounted(t, a, log, lines)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if lines >= residentFrom {
		checkResident(t, samples)
	}
	t.Logf("%d lines in %v: %.0f lines/s", lines, took.Round(time.Millisecond), float64(lines)/took.Seconds())
	for _, x := range samples {
		t.Logf("%9d lines: %v, heap %d MiB, RSS %d MiB", x.lines, x.state, x.heap>>20, x.rss>>20)
	}
	return samples
}

// follow takes twenty samples on the way.
func follow(t *testing.T, a architecture.Architecture, lines int64, done <-chan error) (samples []sample) {
	const count = 20
	at := a.Coverage().Latest()
	for at.Version == 0 || at.Coverage.Orders[0] < lines {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		next, err := a.Coverage().Next(ctx, at.Version)
		cancel()
		select {
		case err := <-done:
			t.Fatalf("it ended: %v", err)
		default:
		}
		if err != nil {
			t.Fatalf("it stands still at %s: %v", at.Coverage, err)
		}
		at = next
		if n := at.Coverage.Orders[0]; n >= lines*int64(len(samples)+1)/count {
			samples = append(samples, take(t, a, n))
		}
	}
	return samples
}

func take(t *testing.T, a architecture.Architecture, lines int64) sample {
	t.Helper()
	debug.FreeOSMemory() // collects, and gives back what is free: the rest is held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return sample{lines, a.Status().State, int64(m.HeapAlloc), residentBytes(t)}
}

func residentBytes(t *testing.T) int64 {
	t.Helper()
	content, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(content))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// checkFlat compares what was held on average in the second half with the first,
// of which the first tenth is left out: there state only begins to be let go of. A
// sample lies somewhere between two commits, so it varies; state that grew with the
// stream would be three times as much in the second half.
func checkFlat(t *testing.T, samples []sample, lines int64, sizes []string) {
	t.Helper()
	half := len(samples) / 2
	for _, name := range sizes {
		mean := func(of []sample) (sum int64) {
			for _, x := range of {
				sum += x.state[name]
			}
			return sum / int64(len(of))
		}
		before, after := mean(samples[len(samples)/10:half]), mean(samples[half:])
		if before == 0 {
			t.Errorf("%s is not in the status, or empty", name)
		}
		if after > before+before/4 {
			t.Errorf("%s grew from %d on average in the first half of %d lines to %d in the second", name, before, lines, after)
		}
	}
}

// checkResident demands that the process is at most a tenth larger after the second
// half of a stream than after the first. A batch or a merge that is under way takes
// memory for a while, so the last fifth of each half is looked at, on average.
func checkResident(t *testing.T, samples []sample) {
	t.Helper()
	end := func(of []sample) (sum int64) {
		last := of[len(of)*4/5:]
		for _, x := range last {
			sum += x.rss
		}
		return sum / int64(len(last))
	}
	half := len(samples) / 2
	first, second := end(samples[:half]), end(samples[half:])
	t.Logf("%d MiB resident after the first half, %d MiB after the second", first>>20, second>>20)
	if second > first+first/10 {
		t.Errorf("the process grew from %d to %d MiB", first>>20, second>>20)
	}
}

// checkCounted demands that late lines, second copies and the lines that answers
// count make up the whole stream.
func checkCounted(t *testing.T, a architecture.Architecture, log *workloadtest.Stream, lines int64) {
	t.Helper()
	s := a.Status()
	x, err := a.Answer(t.Context(), view.Query{View: view.RevenueByCountry})
	if err != nil {
		t.Fatal(err)
	}
	var counted int64
	for _, r := range x.Rows {
		counted += r.Num[1]
	}
	late, repeated, putRight := log.Late(lines), log.Repeated(lines), int64(0)
	if x.Seam != nil {
		putRight = log.Late(x.Seam.Orders[0]) // by a batch layer
	}
	if s.Late != late || s.Duplicate != repeated || counted != lines-late-repeated+putRight {
		t.Errorf("%d lines: %d late, want %d; %d repeated, want %d; %d counted, want %d", lines, s.Late, late, s.Duplicate, repeated, counted, lines-late-repeated+putRight)
	}
}
