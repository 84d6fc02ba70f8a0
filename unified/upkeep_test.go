package unified

import (
	"context"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"archbench/common/architecture"
	"archbench/common/view"
)

// sample is what a stretch of micro-batches left on disk, at the most, and took.
type sample struct {
	data, metadata int64 // files
	bytes          int64 // of metadata
	cpu            time.Duration
}

// Small files, snapshots, manifests and metadata stay few however many micro-batches
// there were, while readers read. ARCHBENCH_LONG_BATCHES makes the run longer; its
// figures are logged.
func TestUpkeepKeepsTheLakeSmall(t *testing.T) {
	batches, records := 120, 60
	if s := os.Getenv("ARCHBENCH_LONG_BATCHES"); s != "" {
		var err error
		if batches, err = strconv.Atoi(s); err != nil || batches < 120 {
			t.Fatalf("ARCHBENCH_LONG_BATCHES is %q: it must be a number, at least 120", s)
		}
	}
	f := newFeed(t, architecture.Config{Threads: 1})
	reads := f.read()
	const stretches = 8
	var samples []sample
	for range stretches {
		samples = append(samples, f.stretch(batches/stretches, records))
	}
	if n := reads(); n < int64(batches)/20 {
		t.Errorf("%d reads beside %d batches: the readers were starved", n, batches)
	}
	for i, s := range samples {
		t.Logf("batches %d to %d: at most %d data files, %d metadata files with %d KiB; %.1f ms of processor time a batch", i*batches/stretches, (i+1)*batches/stretches,
			s.data, s.metadata, s.bytes/1024, s.cpu.Seconds()*1000)
	}
	// After the first stretches every table has been merged; the second half must look like
	// the stretches before it.
	most := func(of func(sample) int64, ss []sample) int64 {
		return of(slices.MaxFunc(ss, func(a, b sample) int { return int(of(a) - of(b)) }))
	}
	early, late := samples[stretches/4:stretches/2], samples[stretches/2:]
	for name, of := range map[string]func(sample) int64{
		"data files": func(s sample) int64 { return s.data }, "metadata files": func(s sample) int64 { return s.metadata }, "bytes of metadata": func(s sample) int64 { return s.bytes },
	} {
		if before, after := most(of, early), most(of, late); after > before*5/4 {
			t.Errorf("%s grow: at most %d in the second quarter, %d in the second half", name, before, after)
		}
	}
	if tables := int64(len(tables(1))); samples[stretches-1].data > tables*4*mergeAt {
		t.Errorf("%d data files in %d tables after %d batches", samples[stretches-1].data, tables, batches)
	}
}

// read asks for one view after the other, as readers do; stop ends it and says how
// many answers came.
func (f *feed) read() (stop func() int64) {
	ctx, cancel := context.WithCancel(f.t.Context())
	var reads int64
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			names := view.Names()
			q := view.Query{View: names[reads%int64(len(names))], Last: 5}
			if _, err := f.u.Answer(ctx, q); err != nil && ctx.Err() == nil {
				f.t.Errorf("read %s: %v", q.View, err)
				return
			}
			reads++
			time.Sleep(50 * time.Millisecond)
		}
	})
	return func() int64 {
		cancel()
		wg.Wait()
		return reads
	}
}

// stretch makes so many micro-batches and says what is the most that was on disk.
func (f *feed) stretch(batches, records int) (most sample) {
	f.t.Helper()
	began := processorTime(f.t)
	for range batches {
		f.put(records)
		f.batch()
		bytes, files := dataBytes(f.t, f.c.Dir)
		most.data = max(most.data, files[".parquet"])
		most.metadata = max(most.metadata, files[".avro"]+files[".json"])
		most.bytes = max(most.bytes, bytes[".avro"]+bytes[".json"])
	}
	most.cpu = (processorTime(f.t) - began) / time.Duration(batches)
	return most
}
