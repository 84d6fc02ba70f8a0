package architecture

import (
	"fmt"

	"archbench/common/coverage"
)

// RecognisesDuplicates reports whether a second record of an id counts only once.
// Under the lesser guarantees no ids are kept.
func (g Guarantee) RecognisesDuplicates() bool { return g == EffectivelyOnce }

// Commit makes work and the offsets that it reaches durable, in the order that is
// the guarantee: the offsets before the work, or after it, and between called where
// a crash tells the two apart. Under effectively-once the work holds its offsets
// and is atomic, so it is all there is to do.
func (g Guarantee) Commit(work, offsets, between func() error) error {
	switch g {
	case AtMostOnce:
		return inTurn(offsets, between, work)
	case AtLeastOnce:
		return inTurn(work, between, offsets)
	}
	return work()
}

func inTurn(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// CheckOffsets refuses offsets that no crash between the two commits leaves beside
// state that reaches so far.
func (g Guarantee) CheckOffsets(offsets, state coverage.Coverage) error {
	switch {
	case g == AtMostOnce && !offsets.AtLeast(state):
		return fmt.Errorf("are %s, behind the state at %s: under %s they are saved before it", offsets, state, g)
	case g == AtLeastOnce && !state.AtLeast(offsets):
		return fmt.Errorf("are %s, beyond the state at %s: under %s they are saved after it", offsets, state, g)
	}
	return nil
}
