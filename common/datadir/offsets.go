package datadir

import (
	"errors"
	"io/fs"
	"path/filepath"

	"archbench/common/coverage"
	"archbench/common/durable"
)

const (
	offsetsName    = "offsets"
	offsetsVersion = 1
)

// SaveOffsets makes durable how far the log was read, apart from the state. The
// lesser guarantees are the order of this and of the state's own commit.
func (d *Dir) SaveOffsets(at coverage.Coverage) error {
	return durable.Save(filepath.Join(d.Path, offsetsName), offsetsName, offsetsVersion, []byte(at.String()))
}

// Offsets reads what SaveOffsets wrote, zero before the first time, and refuses
// what does not go with state that reaches so far under the directory's guarantee.
func (d *Dir) Offsets(state coverage.Coverage) (coverage.Coverage, error) {
	at := coverage.Zero(d.Partitions)
	path := filepath.Join(d.Path, offsetsName)
	content, err := durable.Load(path, offsetsName, offsetsVersion)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return at, err
	default:
		if at, err = coverage.Parse(string(content)); err != nil {
			return at, &durable.Damaged{Path: path, Reason: "cannot be read: " + err.Error()}
		}
	}
	if err := d.Guarantee.CheckOffsets(at, state); err != nil {
		return at, &durable.Damaged{Path: path, Reason: "holds offsets that " + err.Error() + "; remove the data directory to build the state anew from the log"}
	}
	return at, nil
}
