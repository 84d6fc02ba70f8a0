package kappa_test

import (
	"testing"

	"archbench/bench/conformance"
	"archbench/common/architecture"
	"archbench/kappa"
)

func subject() conformance.Subject {
	return conformance.Subject{
		Name: "kappa", CrashPoints: kappa.CrashPoints, BetweenCommits: "kappa.between-commits", AroundSwitch: []string{"kappa.before-switch", "kappa.after-switch"},
		Open: conformance.Opening(kappa.Open),
	}
}

func TestConformanceInMemory(t *testing.T) {
	conformance.Run(t, subject(), conformance.Memory())
}

func TestGuaranteesInMemory(t *testing.T) {
	conformance.RunGuarantees(t, subject(), conformance.Memory())
}

// The suite finds each planted bug, so a pass means something.
func TestConformanceFindsPlantedBugs(t *testing.T) {
	conformance.RunBugs(t, subject(), conformance.Memory(), kappa.Bugs())
}

func TestConformanceBoundedInMemory(t *testing.T) {
	conformance.Run(t, subject().Under(architecture.Bounded), conformance.Memory())
}

func TestConformanceFindsPlantedBugsBounded(t *testing.T) {
	conformance.RunBugs(t, subject().Under(architecture.Bounded), conformance.Memory(), kappa.BoundedBugs())
}

func TestConformanceOnKafka(t *testing.T) {
	conformance.Run(t, subject(), conformance.Kafka())
}

func TestConformanceBoundedOnKafka(t *testing.T) {
	conformance.Run(t, subject().Under(architecture.Bounded), conformance.Kafka())
}

func TestGuaranteesOnKafka(t *testing.T) {
	conformance.RunGuarantees(t, subject(), conformance.Kafka())
}

func BenchmarkGuarantees(b *testing.B) { conformance.BenchmarkGuarantees(b, subject()) }
