package durable

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
)

// Damaged is the error for a file that is torn, foreign or of another version.
type Damaged struct {
	Path   string
	Reason string // what is wrong and what to do, in one sentence
}

func (d *Damaged) Error() string { return fmt.Sprintf("file %s: %s", d.Path, d.Reason) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Save replaces the file at path with payload under a header line that names
// kind and version and carries a CRC-32C, and returns when it is on disk.
func Save(path, kind string, version int, payload []byte) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "archbench %s %d %08x %d\n", kind, version, crc32.Checksum(payload, castagnoli), len(payload))
	b.Write(payload)
	return Replace(path, b.Bytes())
}

// Load reads what Save wrote. A missing file gives fs.ErrNotExist; anything
// other than a whole file of this kind and version gives *Damaged.
func Load(path, kind string, version int) ([]byte, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	head, payload, found := bytes.Cut(content, []byte("\n"))
	var gotKind string
	var gotVersion, length int
	var sum uint32
	if _, err := fmt.Sscanf(string(head), "archbench %s %d %x %d", &gotKind, &gotVersion, &sum, &length); err != nil || !found {
		return nil, &Damaged{path, "is no " + kind + " file of archbench (torn or foreign): remove the data directory to build the state anew from the log"}
	}
	switch {
	case gotKind != kind:
		return nil, &Damaged{path, fmt.Sprintf("is a %s file where a %s file belongs: check the data directory", gotKind, kind)}
	case gotVersion != version:
		return nil, &Damaged{path, fmt.Sprintf("has format version %d and this program reads version %d: use the program that wrote it, or an empty data directory", gotVersion, version)}
	case length != len(payload) || sum != crc32.Checksum(payload, castagnoli):
		return nil, &Damaged{path, "is torn or damaged (length or checksum differ): remove the data directory to build the state anew from the log"}
	}
	return payload, nil
}

// Replace puts content at path atomically: a temporary file beside it, synced,
// renamed over it, the directory synced.
func Replace(path string, content []byte) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("replace %s: %w", path, err), os.Remove(f.Name()))
		}
	}()
	if _, err = f.Write(content); err != nil {
		return errors.Join(err, f.Close())
	}
	if err = f.Sync(); err != nil {
		return errors.Join(err, f.Close())
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return SyncDir(dir)
}

// SyncFile puts a file that another writer made on disk and returns the CRC-32C
// of its content.
func SyncFile(path string) (uint32, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	sum, err := sumOf(f)
	return sum, errors.Join(err, f.Sync(), f.Close())
}

// CheckFile compares a file with the sum that SyncFile gave. A missing, torn or
// damaged one gives *Damaged with what to do.
func CheckFile(path string, sum uint32, whatToDo string) error {
	f, err := os.Open(path)
	if err != nil {
		return &Damaged{path, "cannot be read (" + err.Error() + "): " + whatToDo}
	}
	got, err := sumOf(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return &Damaged{path, "cannot be read (" + err.Error() + "): " + whatToDo}
	}
	if got != sum {
		return &Damaged{path, "is torn or damaged (its checksum differs): " + whatToDo}
	}
	return nil
}

func sumOf(r io.Reader) (uint32, error) {
	h := crc32.New(castagnoli)
	_, err := io.Copy(h, r)
	return h.Sum32(), err
}

// SyncDir makes creations, renames and removals in dir durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
