package lambda

import (
	"context"
	"testing"

	"archbench/bench/conformance"
	"archbench/common/architecture"
)

// Ids and the speed layer do not grow with the stream, which is several times as
// long as what may wait for a batch.
func TestStateStaysFinite(t *testing.T) {
	const lines = 3_000_000
	subject := conformance.Subject{Name: "lambda", Open: func(ctx context.Context, c architecture.Config) (architecture.Architecture, error) {
		l, err := Open(ctx, c)
		if err != nil {
			return nil, err
		}
		if n := conformance.LongStream(lines); n <= lines { // a longer one needs no lower limits
			l.backlog = newBacklog(limits{segment: n / 40, speed: n / 12})
		}
		return l, nil
	}}
	conformance.StaysFinite(t, subject, lines, "ids", "speed_rows")
}
