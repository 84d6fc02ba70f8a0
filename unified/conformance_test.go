package unified_test

import (
	"context"
	"testing"

	"archbench/bench/conformance"
	"archbench/common/architecture"
	"archbench/unified"
)

func subject() conformance.Subject {
	return conformance.Subject{
		Name: "unified", CrashPoints: unified.CrashPoints, BetweenCommits: "unified.between-commits", AroundSwitch: []string{"unified.after-rebuild", "unified.after-switch"}, KeepsHistory: true, AlwaysExact: true,
		Open: conformance.Opening(unified.Open),
	}
}

// The suites run side by side: they wait for the disk, and this package takes the longest.
func TestConformanceInMemory(t *testing.T) {
	t.Parallel()
	conformance.Run(t, subject(), conformance.Memory())
}

func TestGuaranteesInMemory(t *testing.T) {
	t.Parallel()
	conformance.RunGuarantees(t, subject(), conformance.Memory())
}

// The suite finds each planted bug, so a pass means something.
func TestConformanceFindsPlantedBugs(t *testing.T) {
	t.Parallel()
	conformance.RunBugs(t, subject(), conformance.Memory(), unified.Bugs())
}

// Policy bounded changes nothing: it is held to the exact definitions, and says so.
func TestConformanceBoundedInMemory(t *testing.T) {
	s := subject().Under(architecture.Bounded)
	conformance.RunSome(t, s, conformance.Memory(), "right after a stop and restart at any point", "unusable records reach the dead-letter queue")
	s.Open = func(ctx context.Context, c architecture.Config) (architecture.Architecture, error) {
		u, err := unified.Open(ctx, c)
		if err == nil && u.Status().Policy != architecture.Exact {
			t.Errorf("it says that its policy is %s", u.Status().Policy)
		}
		return u, err
	}
	conformance.RunSome(t, s, conformance.Memory(), "empty, single-event and one-sided histories")
}

func TestConformanceOnKafka(t *testing.T) {
	t.Parallel()
	conformance.Run(t, subject(), conformance.Kafka())
}

func TestGuaranteesOnKafka(t *testing.T) {
	t.Parallel()
	conformance.RunGuarantees(t, subject(), conformance.Kafka())
}

func BenchmarkGuarantees(b *testing.B) { conformance.BenchmarkGuarantees(b, subject()) }
