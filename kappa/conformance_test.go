package kappa_test

import (
	"context"
	"testing"

	"archbench/bench/conformance"
	"archbench/common/architecture"
	"archbench/common/eventlog"
	"archbench/common/eventlog/memlog"
	"archbench/kappa"
	"archbench/testcontainers/brokertest"
)

func subject() conformance.Subject {
	return conformance.Subject{
		Name: "kappa", CrashPoints: kappa.CrashPoints, BetweenCommits: "kappa.between-commits", AroundSwitch: []string{"kappa.before-switch", "kappa.after-switch"},
		Open: func(ctx context.Context, c architecture.Config) (architecture.Architecture, error) {
			return kappa.Open(ctx, c)
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

func TestConformanceInMemory(t *testing.T) {
	conformance.Run(t, subject(), memory())
}

func TestGuaranteesInMemory(t *testing.T) {
	conformance.RunGuarantees(t, subject(), memory())
}

// The suite finds each planted bug, so a pass means something.
func TestConformanceFindsPlantedBugs(t *testing.T) {
	conformance.RunBugs(t, subject(), memory(), kappa.Bugs())
}

func TestConformanceBoundedInMemory(t *testing.T) {
	conformance.Run(t, subject().Under(architecture.Bounded), memory())
}

func TestConformanceFindsPlantedBugsBounded(t *testing.T) {
	conformance.RunBugs(t, subject().Under(architecture.Bounded), memory(), kappa.BoundedBugs())
}

func kafka() conformance.Backend {
	return conformance.Backend{Name: "kafka", Shared: true, New: func(t testing.TB) (eventlog.Log, eventlog.Admin) {
		l := brokertest.Log(t)
		return l, l
	}}
}

func TestConformanceOnKafka(t *testing.T) {
	conformance.Run(t, subject(), kafka())
}

func TestConformanceBoundedOnKafka(t *testing.T) {
	conformance.Run(t, subject().Under(architecture.Bounded), kafka())
}

func TestGuaranteesOnKafka(t *testing.T) {
	conformance.RunGuarantees(t, subject(), kafka())
}

func BenchmarkGuarantees(b *testing.B) { conformance.BenchmarkGuarantees(b, subject()) }
