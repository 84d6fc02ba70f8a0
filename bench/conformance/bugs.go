package conformance

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"archbench/common/architecture"
	"archbench/common/fault"
)

// bugPatience bounds the waits with a bug, which may show as one that never ends.
const bugPatience = 10 * time.Second

// RunBugs plants each bug in the subject, one in a subtest, and demands that a
// case finds it.
func RunBugs(t *testing.T, s Subject, b Backend, bugs []string) {
	for _, bug := range bugs {
		t.Run(bug, func(t *testing.T) {
			found := FoundBy(t, s.planted(bug), b)
			if found == "" {
				t.Fatal("no case found it")
			}
			t.Logf("found by %q", found)
		})
	}
}

// planted is the subject with a bug switched on wherever it is opened.
func (s Subject) planted(bug string) Subject {
	open := s.Open
	s.Open = func(ctx context.Context, c architecture.Config) (architecture.Architecture, error) {
		if c.Faults == nil {
			c.Faults = fault.NewSet()
		}
		c.Faults.Plant(bug)
		return open(ctx, c)
	}
	return s
}

// FoundBy runs the cases, with a fixed seed, on a subject that has a bug until one
// fails, and returns the name of that case; empty if all pass.
func FoundBy(t testing.TB, s Subject, b Backend) string {
	b.Patience = cmp.Or(b.Patience, bugPatience)
	for _, c := range Cases() {
		if c.fails(t, s, b, 5) {
			return c.Name
		}
	}
	return ""
}

// fails runs one case without failing the test around it.
func (c Case) fails(t testing.TB, s Subject, b Backend, seed uint64) bool {
	r := &recorder{}
	done := make(chan struct{})
	go func() { // Fatalf ends this goroutine only
		defer close(done)
		c.runOn(t, r, s, b, seed)
	}()
	<-done
	return r.Failed()
}

// recorder is a Reporter that takes a case's verdict without failing the test around it.
type recorder struct {
	mu     sync.Mutex
	failed bool
	said   []string
}

func (r *recorder) Helper() {}
func (r *recorder) Logf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, fmt.Sprintf(format, args...))
}
func (r *recorder) Errorf(format string, args ...any) {
	r.Logf(format, args...)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = true
}
func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}
func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}
