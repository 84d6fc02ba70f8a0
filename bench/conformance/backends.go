package conformance

import (
	"context"
	"testing"

	"archbench/common/architecture"
	"archbench/common/eventlog"
	"archbench/common/eventlog/memlog"
	"archbench/testcontainers/brokertest"
)

// Memory is a log in memory for each world.
func Memory() Backend {
	return Backend{Name: "memory", New: func(t testing.TB) (eventlog.Log, eventlog.Admin) {
		l := memlog.New()
		t.Cleanup(func() { l.Close() })
		return l, l
	}}
}

// Kafka is the real Kafka of the run. Without one the test is skipped, or fails where
// ARCHBENCH_REQUIRE holds kafka.
func Kafka() Backend {
	return Backend{Name: "kafka", Shared: true, New: func(t testing.TB) (eventlog.Log, eventlog.Admin) {
		l := brokertest.Log(t)
		return l, l
	}}
}

// Opening is the Open of a Subject from one that returns a type of its own.
func Opening[A architecture.Architecture](open func(context.Context, architecture.Config) (A, error)) func(context.Context, architecture.Config) (architecture.Architecture, error) {
	return func(ctx context.Context, c architecture.Config) (architecture.Architecture, error) {
		return open(ctx, c)
	}
}
