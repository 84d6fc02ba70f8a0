package conformance

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"archbench/common/eventlog"
	"archbench/common/eventlog/memlog"
)

func memory() Backend {
	return Backend{Name: "memory", New: func(t testing.TB) (eventlog.Log, eventlog.Admin) {
		l := memlog.New()
		t.Cleanup(func() { l.Close() })
		return l, l
	}}
}

func subject(bug string) Subject {
	return Subject{Name: "reference", Open: openReference(bug), CrashPoints: referencePoints, KeepsHistory: true}
}

// The oracle behind the interface passes every case.
func TestReferencePasses(t *testing.T) {
	Run(t, subject(""), memory())
}

// recorder takes a case's verdict without failing the test around it.
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

// Each planted bug is found by at least one case, N of N.
func TestSuiteFindsPlantedBugs(t *testing.T) {
	for _, bug := range []string{
		"lose a line at restart", "forget the switch", "swallow poison", "announce ahead", "ignore deletions", "ignore later profile changes",
		"gap is inclusive", "limit before last", "wrong tie", "a window short", "old coverage with new rows", "count duplicates",
		"drop late lines", "adjustments are money", "fold codes always", "skip what is gone", "take over any directory",
	} {
		t.Run(bug, func(t *testing.T) {
			t.Parallel()
			var tried []string
			for _, c := range Cases() {
				tried = append(tried, c.Name)
				if failsOn(t, c, bug) {
					return
				}
			}
			t.Errorf("not found by any of %s", strings.Join(tried, "; "))
		})
	}
}

// failsOn runs one case with a fixed seed on the reference with the bug.
func failsOn(t *testing.T, c Case, bug string) bool {
	r := &recorder{}
	done := make(chan struct{})
	go func() { // Fatalf ends this goroutine only
		defer close(done)
		b := memory()
		b.Patience = 10 * time.Second // a bug may show as a wait that never ends
		c.runOn(t, r, subject(bug), b, 5)
	}()
	<-done
	return r.Failed()
}
