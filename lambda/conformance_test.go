package lambda_test

import (
	"testing"

	"archbench/bench/conformance"
	"archbench/common/architecture"
	"archbench/lambda"
)

func subject() conformance.Subject {
	return conformance.Subject{
		Name: "lambda", CrashPoints: lambda.CrashPoints, BetweenCommits: "lambda.between-commits", AroundSwitch: []string{"lambda.after-batch-files", "lambda.after-pointer"}, KeepsHistory: true, HasSeam: true,
		Open: conformance.Opening(lambda.Open),
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
	conformance.RunBugs(t, subject(), conformance.Memory(), lambda.Bugs())
}

func TestConformanceBoundedInMemory(t *testing.T) {
	conformance.Run(t, subject().Under(architecture.Bounded), conformance.Memory())
}

func TestConformanceFindsPlantedBugsBounded(t *testing.T) {
	conformance.RunBugs(t, subject().Under(architecture.Bounded), conformance.Memory(), lambda.BoundedBugs())
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
