package kappa

import (
	"errors"

	"archbench/common/architecture"
	"archbench/kappa/store"
)

// commit is what is made durable at once: changed rows and ids, and the positions
// that they reach. Under effectively-once both are one batch, which is atomic.
type commit struct {
	state, positions *store.Batch
	last             *store.Batch // of the two in their order; what it holds comes when all is there
}

func (k *Kappa) newCommit() commit {
	state := k.store.NewBatch()
	switch k.c.Guarantee {
	case architecture.AtMostOnce:
		return commit{state: state, positions: k.store.NewBatch(), last: state}
	case architecture.AtLeastOnce:
		positions := k.store.NewBatch()
		return commit{state: state, positions: positions, last: positions}
	}
	return commit{state: state, positions: state, last: state}
}

// complete makes a commit durable in the order that the guarantee demands.
func (k *Kappa) complete(c commit) error {
	return k.c.Guarantee.Commit(c.state.Commit, c.positions.Commit, func() error { return k.c.Faults.Point(betweenCommits) })
}

// close drops a commit that was not made.
func (c commit) close() error {
	if c.state == c.positions {
		return c.state.Close()
	}
	return errors.Join(c.state.Close(), c.positions.Close())
}
