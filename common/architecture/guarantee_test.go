package architecture_test

import (
	"errors"
	"slices"
	"testing"

	"archbench/common/architecture"
	"archbench/common/coverage"
)

// A commit that breaks at one of its steps leaves exactly those before it done.
func TestCommitsKeepTheirOrder(t *testing.T) {
	broken := errors.New("the disk is full")
	for g, order := range map[architecture.Guarantee][]string{
		architecture.AtMostOnce:      {"offsets", "between", "work"},
		architecture.AtLeastOnce:     {"work", "between", "offsets"},
		architecture.EffectivelyOnce: {"work"},
	} {
		for n := range len(order) + 1 {
			var done []string
			step := func(name string) func() error {
				return func() error {
					if n < len(order) && name == order[n] {
						return broken
					}
					done = append(done, name)
					return nil
				}
			}
			err := g.Commit(step("work"), step("offsets"), step("between"))
			if errors.Is(err, broken) != (n < len(order)) || !slices.Equal(done, order[:n]) {
				t.Errorf("%s, broken at step %d: done %v, %v; want %v", g, n, done, err, order[:n])
			}
		}
	}
}

func TestOffsetsThatNoCrashLeaves(t *testing.T) {
	at := func(orders int64) coverage.Coverage {
		return coverage.Coverage{Orders: coverage.Vector{orders, 7}, Customers: coverage.Vector{0, 0}}
	}
	for _, c := range []struct {
		g       architecture.Guarantee
		offsets int64
		fits    bool
	}{
		{architecture.AtMostOnce, 5, true}, {architecture.AtMostOnce, 6, true}, {architecture.AtMostOnce, 4, false},
		{architecture.AtLeastOnce, 5, true}, {architecture.AtLeastOnce, 4, true}, {architecture.AtLeastOnce, 6, false},
	} {
		if err := c.g.CheckOffsets(at(c.offsets), at(5)); (err == nil) != c.fits {
			t.Errorf("%s with offsets %d beside state at 5: %v", c.g, c.offsets, err)
		}
	}
}

func TestSemanticsThatGoTogether(t *testing.T) {
	for _, g := range []architecture.Guarantee{architecture.AtMostOnce, architecture.AtLeastOnce} {
		if err := architecture.CheckSemantics(architecture.Exact, g); err == nil {
			t.Errorf("policy exact is taken with %s", g)
		}
		if err := architecture.CheckSemantics(architecture.Bounded, g); err != nil {
			t.Errorf("policy bounded with %s: %v", g, err)
		}
	}
	if err := architecture.CheckSemantics(architecture.Exact, architecture.EffectivelyOnce); err != nil {
		t.Error(err)
	}
	for _, p := range []architecture.Policy{architecture.Exact, architecture.Bounded} {
		if err := architecture.CheckSemantics(p, "exactly-once"); err == nil {
			t.Errorf("policy %s is taken with a guarantee that nobody knows", p)
		}
	}
}
