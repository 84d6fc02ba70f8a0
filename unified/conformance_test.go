package unified_test

import (
	"context"
	"testing"

	"archbench/bench/conformance"
	"archbench/common/architecture"
	"archbench/common/eventlog"
	"archbench/common/eventlog/memlog"
	"archbench/testcontainers/brokertest"
	"archbench/unified"
)

func subject() conformance.Subject {
	return conformance.Subject{
		Name: "unified", CrashPoints: unified.CrashPoints, BetweenCommits: "unified.between-commits", AroundSwitch: []string{"unified.after-rebuild", "unified.after-switch"}, KeepsHistory: true, AlwaysExact: true,
		Open: func(ctx context.Context, c architecture.Config) (architecture.Architecture, error) {
			return unified.Open(ctx, c)
		},
	}
}

func memory() conformance.Backend {
	return conformance.Backend{Name: "memory", New: func(t testing.TB) (eventlog.Log, eventlog.Admin) {
		l := memlog.New()
		t.Cleanup(func() { l.Close() })
		return l, l
	}}
}

// The suites run side by side: they wait for the disk, and this package takes the longest.
func TestConformanceInMemory(t *testing.T) {
	t.Parallel()
	conformance.Run(t, subject(), memory())
}

func TestGuaranteesInMemory(t *testing.T) {
	t.Parallel()
	conformance.RunGuarantees(t, subject(), memory())
}

// The suite finds each planted bug, so a pass means something.
func TestConformanceFindsPlantedBugs(t *testing.T) {
	t.Parallel()
	conformance.RunBugs(t, subject(), memory(), unified.Bugs())
}

// Policy bounded changes nothing: it is held to the exact definitions, and says so.
func TestConformanceBoundedInMemory(t *testing.T) {
	s := subject().Under(architecture.Bounded)
	conformance.RunSome(t, s, memory(), "right after a stop and restart at any point", "unusable records reach the dead-letter queue")
	s.Open = func(ctx context.Context, c architecture.Config) (architecture.Architecture, error) {
		u, err := unified.Open(ctx, c)
		if err == nil && u.Status().Policy != architecture.Exact {
			t.Errorf("it says that its policy is %s", u.Status().Policy)
		}
		return u, err
	}
	conformance.RunSome(t, s, memory(), "empty, single-event and one-sided histories")
}

func kafka() conformance.Backend {
	return conformance.Backend{Name: "kafka", Shared: true, New: func(t testing.TB) (eventlog.Log, eventlog.Admin) {
		l := brokertest.Log(t)
		return l, l
	}}
}

func TestConformanceOnKafka(t *testing.T) {
	t.Parallel()
	conformance.Run(t, subject(), kafka())
}

func TestGuaranteesOnKafka(t *testing.T) {
	t.Parallel()
	conformance.RunGuarantees(t, subject(), kafka())
}

func BenchmarkGuarantees(b *testing.B) { conformance.BenchmarkGuarantees(b, subject()) }
