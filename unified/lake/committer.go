package lake

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"
	"golang.org/x/sync/errgroup"
)

// A committer is the catalog as tables see it. It writes a commit's metadata file at
// once and moves the table's row in the catalog's database only with the next Flush,
// together with those of other tables: one transaction for what a micro-batch
// changes, and readers see its tables change together. The data directory has one
// owner, so what the lake holds of a table is its latest state; the database is asked
// only whether the row is still the one that was left there.
type committer struct{ *Lake }

// move is a table's change of metadata that the catalog's database does not know yet.
type move struct{ from, to string }

// LoadTable implements table.CatalogIO.
func (c committer) LoadTable(_ context.Context, ident table.Identifier) (*table.Table, error) {
	if t := c.table(ident[0], ident[1]); t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("table %s.%s is not open", ident[0], ident[1])
}

// CommitTable implements table.CatalogIO.
func (c committer) CommitTable(ctx context.Context, ident table.Identifier, demands []table.Requirement, updates []table.Update) (table.Metadata, string, error) {
	current, err := c.LoadTable(ctx, ident)
	if err != nil {
		return nil, "", err
	}
	for _, d := range demands {
		if err := d.Validate(current.Metadata()); err != nil {
			return nil, "", err
		}
	}
	from := current.MetadataLocation()
	next, err := table.UpdateTableMetadata(current.Metadata(), updates, from)
	if err != nil {
		return nil, "", err
	}
	if next.Equals(current.Metadata()) {
		return next, from, nil
	}
	to, err := writeMetadata(next, from)
	if err != nil {
		return nil, "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	m, waits := c.pending[key(ident[0], ident[1])]
	if !waits {
		m.from = from
	}
	m.to = to
	c.pending[key(ident[0], ident[1])] = m
	return next, to, nil
}

var metadataVersion = regexp.MustCompile(`/([0-9]+)-[^/]*$`)

// writeMetadata writes the metadata file that follows another one.
func writeMetadata(m table.Metadata, after string) (location string, err error) {
	found := metadataVersion.FindStringSubmatch(after)
	if found == nil {
		return "", fmt.Errorf("the metadata file %s has no version in its name", after)
	}
	version, err := strconv.Atoi(found[1])
	if err != nil {
		return "", fmt.Errorf("the version of the metadata file %s: %w", after, err)
	}
	locations, err := table.LoadLocationProvider(m.Location(), m.Properties())
	if err != nil {
		return "", err
	}
	if location, err = locations.NewTableMetadataFileLocation(version + 1); err != nil {
		return "", err
	}
	content, err := json.Marshal(m)
	if err != nil {
		return "", fmt.Errorf("encode metadata: %w", err)
	}
	if err := os.WriteFile(local(location), content, 0o644); err != nil {
		return "", fmt.Errorf("write metadata: %w", err)
	}
	return location, nil
}

// adopt keeps a table that the catalog gave, with its commits through the committer.
func (l *Lake) adopt(namespace, name string, t *table.Table) {
	l.keep(namespace, name, table.New(t.Identifier(), t.Metadata(), t.MetadataLocation(), io.LoadFSFunc(iceberg.Properties{}, t.MetadataLocation()), committer{l}))
}

// Flush brings the data files of all commits since the last one to disk, side by
// side, and makes the commits known to the catalog's database in one transaction.
// Until then a crash takes them back.
func (l *Lake) Flush(ctx context.Context) error {
	// One Flush may bring another's files to disk, so the other has to wait for it.
	l.flushing.Lock()
	defer l.flushing.Unlock()
	if err := l.syncFiles(); err != nil {
		return err
	}
	return l.moveRows(ctx)
}

func (l *Lake) syncFiles() error {
	l.mu.Lock()
	files := l.unsynced
	l.unsynced = nil
	l.mu.Unlock()
	var g errgroup.Group
	for _, path := range files {
		g.Go(func() error { return syncFile(path) })
	}
	return g.Wait()
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err != nil {
		return fmt.Errorf("bring a data file to disk: %w", err)
	}
	return nil
}

func (l *Lake) moveRows(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pending) == 0 {
		return nil
	}
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("change the catalog: %w", err)
	}
	for name, m := range l.pending {
		if err := moveRow(ctx, tx, l.tables[name].Identifier(), m); err != nil {
			return errors.Join(fmt.Errorf("change table %s in the catalog: %w", name, err), tx.Rollback())
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("change the catalog: %w", err)
	}
	clear(l.pending)
	return nil
}

func moveRow(ctx context.Context, tx *sql.Tx, ident table.Identifier, m move) error {
	done, err := tx.ExecContext(ctx, `UPDATE iceberg_tables SET metadata_location = ?, previous_metadata_location = ?
		WHERE catalog_name = ? AND table_namespace = ? AND table_name = ? AND metadata_location = ?`, m.to, m.from, catalogName, ident[0], ident[1], m.from)
	if err != nil {
		return err
	}
	if n, err := done.RowsAffected(); err != nil || n != 1 {
		return errors.Join(fmt.Errorf("%d rows name %s, want 1: another process changed it", n, m.from), err)
	}
	return nil
}
