package datadir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"archbench/common/architecture"
	"archbench/common/durable"
	"archbench/common/eventlog"
	"archbench/common/view"
)

// Identity is what state depends on and cannot be changed under it.
type Identity struct {
	Architecture string          `json:"architecture"`
	Topics       eventlog.Topics `json:"topics"`
	Params       view.Params     `json:"params"`
	// Policy and Lateness are empty where state does not depend on them.
	Policy   string        `json:"policy,omitempty"`
	Lateness time.Duration `json:"lateness,omitempty"`
	// Guarantee is how state and offsets are committed, and so how they are to be read.
	Guarantee  architecture.Guarantee `json:"guarantee"`
	Partitions int                    `json:"partitions"`
}

// Dir is an open data directory, locked for this process.
type Dir struct {
	Path string
	Identity
	lock *os.File
}

// Refused is the error for a directory that does not fit: another version's,
// another configuration's, or not archbench's at all.
type Refused struct{ Reason error }

func (r *Refused) Error() string { return r.Reason.Error() }
func (r *Refused) Unwrap() error { return r.Reason }

const (
	metaName = "archbench.meta"
	metaKind = "meta"
)

// Open locks the directory, made if it is not there, and checks that what it
// holds was written by this architecture in this format version, for these
// topics and parameters. For an empty one it asks partitions and writes that down.
func Open(path string, version int, want Identity, partitions func() (int, error)) (*Dir, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	lock, err := lockFile(filepath.Join(path, "lock"))
	if err != nil {
		return nil, err
	}
	d := &Dir{Path: path, Identity: want, lock: lock}
	if err := d.identify(version, want, partitions); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return d, nil
}

func (d *Dir) identify(version int, want Identity, partitions func() (int, error)) error {
	meta := filepath.Join(d.Path, metaName)
	content, err := durable.Load(meta, metaKind, version)
	if errors.Is(err, fs.ErrNotExist) {
		if err := d.refuseForeign(); err != nil {
			return err
		}
		if d.Partitions, err = partitions(); err != nil {
			return err
		}
		if content, err = json.Marshal(d.Identity); err != nil {
			return fmt.Errorf("encode %s: %w", meta, err)
		}
		return durable.Save(meta, metaKind, version, content)
	}
	if errors.As(err, new(*durable.Damaged)) {
		return &Refused{err}
	}
	if err != nil {
		return err
	}
	var is Identity
	if err := json.Unmarshal(content, &is); err != nil {
		return &durable.Damaged{Path: meta, Reason: "cannot be read: " + err.Error()}
	}
	if is.Guarantee == "" { // written before there were others
		is.Guarantee = architecture.EffectivelyOnce
	}
	d.Partitions, want.Partitions = is.Partitions, is.Partitions
	if is == want {
		return nil
	}
	what := "other window parameters"
	switch {
	case is.Architecture != want.Architecture:
		what = "the architecture " + is.Architecture
	case is.Topics != want.Topics:
		what = "the topics of " + is.Topics.Orders
	case is.Policy != want.Policy:
		what = "policy " + is.Policy
	case is.Lateness != want.Lateness:
		what = fmt.Sprintf("an allowed lateness of %v", is.Lateness)
	case is.Guarantee != want.Guarantee:
		what = "guarantee " + string(is.Guarantee)
	}
	return refused("the data directory %s was built for %s: use another directory, or remove this one to build the state anew from the log", d.Path, what)
}

func refused(format string, args ...any) error { return &Refused{fmt.Errorf(format, args...)} }

// refuseForeign refuses a directory that holds anything but the lock.
func (d *Dir) refuseForeign() error {
	entries, err := os.ReadDir(d.Path)
	if err != nil {
		return fmt.Errorf("read the data directory: %w", err)
	}
	for _, e := range entries {
		if e.Name() != "lock" && !strings.HasPrefix(e.Name(), "."+metaName) { // a crash may leave a temporary file
			return refused("the data directory %s holds %s but no %s: it is not archbench's, use an empty directory", d.Path, e.Name(), metaName)
		}
	}
	return nil
}

// Close releases the lock.
func (d *Dir) Close() error { return d.lock.Close() }

// lockFile takes an advisory lock that the kernel drops with the process.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the data directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("the data directory %s is in use by another process (%w): stop it, or use another directory", filepath.Dir(path), err), f.Close())
	}
	return f, nil
}
