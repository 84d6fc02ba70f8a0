package lake

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"

	"archbench/common/durable"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// remedy is what to do about a damaged file.
const remedy = "remove the data directory to build the state anew from the log"

// Mark is what a record of published snapshots holds of one: its id, and the
// CRC-32C of its manifest list. The list holds the length of each manifest, and a
// manifest the names of data files, which hold the sum of their content. So a mark
// vouches for all that the snapshot is made of.
type Mark struct {
	Snapshot int64  `json:"snapshot"` // 0: the table is empty
	Sum      uint32 `json:"manifest_list_crc32c"`
}

// Mark is that of a table's current snapshot.
func (l *Lake) Mark(namespace, name string) (Mark, error) {
	s := l.table(namespace, name).CurrentSnapshot()
	if s == nil {
		return Mark{}, nil
	}
	sum, _, err := sumOf(local(s.ManifestList))
	return Mark{s.SnapshotID, sum}, err
}

// snapshot is the id of a table's current snapshot, 0 if it has none.
func (l *Lake) snapshot(namespace, name string) int64 {
	if s := l.table(namespace, name).CurrentSnapshot(); s != nil {
		return s.SnapshotID
	}
	return 0
}

// local is the path of a file that Iceberg names by URL.
func local(url string) string { return strings.TrimPrefix(url, "file://") }

// Seal brings the sum of a written file's content into its name; rows is how many it
// holds. The next Flush after it was committed brings it to disk.
func Seal(path string, rows int64) (File, error) {
	sum, bytes, err := sumOf(path)
	if err != nil {
		return File{}, fmt.Errorf("seal %s: %w", path, err)
	}
	sealed := fmt.Sprintf("%s-%08x.parquet", strings.TrimSuffix(path, ".parquet"), sum)
	if err := os.Rename(path, sealed); err != nil {
		return File{}, fmt.Errorf("seal %s: %w", path, err)
	}
	return File{sealed, rows, bytes}, nil
}

// sumOf is the CRC-32C of a file's content, and its length.
func sumOf(path string) (sum uint32, bytes int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, fmt.Errorf("sum a file: %w", err)
	}
	defer f.Close()
	h := crc32.New(castagnoli)
	if bytes, err = io.Copy(h, f); err != nil {
		return 0, 0, fmt.Errorf("sum %s: %w", path, err)
	}
	return h.Sum32(), bytes, nil
}

// verify holds all files of the current snapshot against its mark, and lists the
// data files.
func (l *Lake) verify(ctx context.Context, namespace, name string, m Mark) ([]File, error) {
	t := l.table(namespace, name)
	s := t.CurrentSnapshot()
	if s == nil {
		return nil, nil
	}
	list := local(s.ManifestList)
	if sum, _, err := sumOf(list); err != nil || sum != m.Sum {
		return nil, torn(list, err)
	}
	files, err := t.FS(ctx)
	if err != nil {
		return nil, fmt.Errorf("open the files of table %s.%s: %w", namespace, name, err)
	}
	manifests, err := s.Manifests(files)
	if err != nil {
		return nil, torn(list, err)
	}
	for _, m := range manifests {
		path := local(m.FilePath())
		if info, err := os.Stat(path); err != nil || info.Size() != m.Length() {
			return nil, torn(path, err)
		}
	}
	data, err := l.filesOf(ctx, namespace, name, s.SnapshotID)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, remedy)
	}
	for _, f := range data {
		sum, _, err := sumOf(f.Path)
		if err != nil || !strings.HasSuffix(f.Path, fmt.Sprintf("-%08x.parquet", sum)) {
			return nil, torn(f.Path, err)
		}
	}
	return data, nil
}

// torn names a file that is not what was written; err, if any, is how it showed.
func torn(path string, err error) error {
	reason := "is torn or damaged (length or checksum differ): "
	if err != nil {
		reason = fmt.Sprintf("cannot be read (%v): ", err)
	}
	return &durable.Damaged{Path: path, Reason: reason + remedy}
}

// damaged names the metadata file of a table that cannot be opened.
func (l *Lake) damaged(ctx context.Context, namespace, name string, reason error) error {
	var location string
	if err := l.db.QueryRowContext(ctx, "SELECT metadata_location FROM iceberg_tables WHERE table_namespace = ? AND table_name = ?", namespace, name).Scan(&location); err != nil {
		return errors.Join(fmt.Errorf("open table %s.%s: %w", namespace, name, reason), fmt.Errorf("find its metadata: %w", err))
	}
	return torn(filepath.Clean(local(location)), reason)
}
