package lambda

import (
	"context"
	"testing"

	"archbench/bench/conformance"
	"archbench/common/architecture"
)

// Ids and the speed layer do not grow with the stream. What spans hold goes up until a
// batch is done and down to nothing, at the pace of the machine; that it never exceeds
// what intake waits at is a promise that holds at any pace.
func TestStateStaysFinite(t *testing.T) {
	const lines = 1_000_000
	n := conformance.LongStream(lines)
	limits := limits{segment: min(n/40, defaultLimits.segment), speed: min(n/20, defaultLimits.speed)}
	subject := conformance.Subject{Name: "lambda", Open: func(ctx context.Context, c architecture.Config) (architecture.Architecture, error) {
		l, err := Open(ctx, c)
		if err != nil {
			return nil, err
		}
		l.backlog = newBacklog(limits)
		return l, nil
	}}
	const (
		inTime  = 20_000 // lines within the allowed lateness: one every 30 ms
		epoch   = 4096   // ids, at least
		workers = 2      // one for each topic of the one partition
		spans   = 2      // that wait for a batch: its input, and what grows meanwhile
	)
	conformance.StaysWithin(t, subject, lines, map[string]int64{
		"ids":           2*inTime + epoch,
		"speed_records": spans * (2*limits.speed + workers*intakeChunk),
		"waiting_lines": 2*limits.segment + workers*intakeChunk,
		"spans":         spans,
	})
}
