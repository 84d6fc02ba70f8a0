package intake

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

// However many read a partition, each record is written once, and nobody passes
// it before it is.
func TestLettersAreWrittenOnce(t *testing.T) {
	const from, records = 10, 200
	l := NewLetters(from)
	var written [records]atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for o := range int64(records) {
				if err := l.once(o, func() error { written[o].Add(1); return nil }); err != nil {
					t.Error(err)
				}
				if o >= from && written[o].Load() != 1 {
					t.Errorf("passed record %d with %d letters", o, written[o].Load())
				}
			}
		})
	}
	wg.Wait()
	for o := range from {
		if n := written[o].Load(); n != 0 {
			t.Errorf("record %d had its letter before, and got %d more", o, n)
		}
	}
}

func TestLetterThatFailsIsOwed(t *testing.T) {
	l := NewLetters(0)
	broken := errors.New("the log is closed")
	if err := l.once(3, func() error { return broken }); !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
	wrote := false
	if err := l.once(3, func() error { wrote = true; return nil }); err != nil || !wrote {
		t.Errorf("the letter that failed was not written again: %v", err)
	}
}

func TestLettersOutliveAStop(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	longer, done := finishing(ctx)
	stop()
	if err := longer.Err(); err != nil {
		t.Errorf("a letter under way ends with the stop: %v", err)
	}
	done()
	if longer.Err() == nil {
		t.Error("a letter that is written holds on to its context")
	}
}
