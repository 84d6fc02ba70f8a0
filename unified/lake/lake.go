package lake

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/catalog"
	sqlcatalog "github.com/apache/iceberg-go/catalog/sql"
	"github.com/apache/iceberg-go/table"
	_ "github.com/mattn/go-sqlite3" // the catalog's database

	"archbench/common/coverage"
)

// coverageProperty is the snapshot property that names the coverage.
const coverageProperty = "archbench.coverage"

// Column is one column of a table, of an Iceberg type that DuckDB writes.
type Column struct {
	Name string
	Type iceberg.Type
}

// Columns reads a list such as "partition INTEGER, country VARCHAR".
func Columns(definition string) []Column {
	var cs []Column
	for _, c := range strings.Split(definition, ", ") {
		name, kind, _ := strings.Cut(c, " ")
		var t iceberg.Type = iceberg.PrimitiveTypes.String
		switch kind {
		case "TINYINT", "INTEGER":
			t = iceberg.PrimitiveTypes.Int32
		case "BIGINT":
			t = iceberg.PrimitiveTypes.Int64
		case "BLOB":
			t = iceberg.PrimitiveTypes.Binary
		}
		cs = append(cs, Column{strings.Trim(name, `"`), t})
	}
	return cs
}

// catalogName is the warehouse's in the catalog's database.
const catalogName = "archbench"

// Lake is an open warehouse. Different tables may be changed at the same time,
// one table by one goroutine at a time.
type Lake struct {
	dir     string
	db      *sql.DB
	catalog *sqlcatalog.Catalog
	files   atomic.Int64

	flushing sync.Mutex // held by a Flush, and taken before mu

	mu      sync.Mutex // guards what follows
	tables  map[string]*table.Table
	pending map[string]move   // commits that the catalog's database does not know yet
	live    map[string][]File // data files of a table's current snapshot
	// unsynced are data files of commits that need not be on disk yet.
	unsynced []string
}

func (l *Lake) table(namespace, name string) *table.Table {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tables[key(namespace, name)]
}

func (l *Lake) keep(namespace, name string, t *table.Table) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tables[key(namespace, name)] = t
}

// Open opens the warehouse of a directory, made if need be.
func Open(ctx context.Context, dir string) (*Lake, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the warehouse: %w", err)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("warehouse: %w", err)
	}
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(dir, "catalog.db")+"?_journal_mode=WAL&_synchronous=FULL&_busy_timeout=10000")
	if err != nil {
		return nil, fmt.Errorf("open the catalog: %w", err)
	}
	db.SetMaxOpenConns(1) // SQLite has one writer
	c, err := sqlcatalog.NewCatalog(catalogName, db, sqlcatalog.SQLite, iceberg.Properties{"warehouse": "file://" + dir})
	if err == nil {
		err = c.CreateSQLTables(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the catalog %s: %w (if it is damaged, remove the data directory to build the state anew from the log)", dir, err), db.Close())
	}
	return &Lake{dir: dir, db: db, catalog: c, tables: map[string]*table.Table{}, pending: map[string]move{}, live: map[string][]File{}}, nil
}

// Close closes the catalog.
func (l *Lake) Close() error { return l.db.Close() }

// Ensure opens a table, made if it is not there.
func (l *Lake) Ensure(ctx context.Context, namespace, name string, columns []Column) error {
	ident := table.Identifier{namespace, name}
	t, err := l.catalog.LoadTable(ctx, ident)
	if errors.Is(err, catalog.ErrNoSuchTable) {
		return l.create(ctx, ident, columns)
	}
	if err != nil {
		return l.damaged(ctx, namespace, name, err)
	}
	l.adopt(namespace, name, t)
	return nil
}

func key(namespace, name string) string { return namespace + "." + name }

func (l *Lake) create(ctx context.Context, ident table.Identifier, columns []Column) error {
	if err := l.catalog.CreateNamespace(ctx, ident[:1], nil); err != nil && !errors.Is(err, catalog.ErrNamespaceAlreadyExists) {
		return fmt.Errorf("create namespace %s: %w", ident[0], err)
	}
	fields := make([]iceberg.NestedField, len(columns))
	for i, c := range columns {
		fields[i] = iceberg.NestedField{ID: i + 1, Name: c.Name, Type: c.Type}
	}
	t, err := l.catalog.CreateTable(ctx, ident, iceberg.NewSchema(0, fields...),
		catalog.WithLocation("file://"+filepath.Join(l.dir, ident[0], ident[1])),
		catalog.WithProperties(iceberg.Properties{
			"write.metadata.delete-after-commit.enabled": "true",
			"write.metadata.previous-versions-max":       "5",
			"commit.manifest-merge.enabled":              "true",
			"write.metadata.metrics.default":             "none",
		}))
	if err != nil {
		return fmt.Errorf("create table %s.%s: %w", ident[0], ident[1], err)
	}
	l.adopt(ident[0], ident[1], t)
	l.setFiles(ident[0], ident[1], nil)
	return os.MkdirAll(filepath.Join(l.dir, ident[0], ident[1], "data"), 0o755)
}

// File is a sealed Parquet file of a table.
type File struct {
	Path        string
	Rows, Bytes int64
}

// entry is what a manifest says of a file. The rows are counted by whoever wrote it, so
// that no file is opened again for its footer.
func (f File) entry() (iceberg.DataFile, error) {
	b, err := iceberg.NewDataFileBuilder(*iceberg.UnpartitionedSpec, iceberg.EntryContentData, f.Path, iceberg.ParquetFile, nil, nil, nil, f.Rows, f.Bytes)
	if err != nil {
		return nil, fmt.Errorf("describe %s: %w", f.Path, err)
	}
	return b.Build(), nil
}

func entries(files ...File) ([]iceberg.DataFile, error) {
	all := make([]iceberg.DataFile, len(files))
	for i, f := range files {
		var err error
		if all[i], err = f.entry(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// NewFile names a Parquet file that does not exist yet in a table's folder. Once
// it is written, Seal makes it fit to be committed.
func (l *Lake) NewFile(namespace, name string) string {
	return filepath.Join(l.dir, namespace, name, "data", fmt.Sprintf("%d-%d.parquet", time.Now().UnixNano(), l.files.Add(1)))
}

// Add commits a file to a table. It must have the table's columns.
func (l *Lake) Add(ctx context.Context, namespace, name string, file File, at coverage.Coverage) error {
	added, err := entries(file)
	if err != nil {
		return err
	}
	if err := l.commit(ctx, namespace, name, func(t *table.Transaction) error {
		return t.AddDataFiles(ctx, added, properties(at), table.WithoutDuplicateCheck())
	}); err != nil {
		return err
	}
	l.added(namespace, name, append(l.Files(namespace, name), file), file)
	return nil
}

// Replace commits a file in the place of others that held the same.
func (l *Lake) Replace(ctx context.Context, namespace, name string, old []File, file File, at coverage.Coverage) error {
	added, err := entries(file)
	if err != nil {
		return err
	}
	removed, err := entries(old...)
	if err != nil {
		return err
	}
	if err := l.commit(ctx, namespace, name, func(t *table.Transaction) error {
		return t.ReplaceDataFilesWithDataFiles(ctx, removed, added, properties(at))
	}); err != nil {
		return err
	}
	kept := slices.DeleteFunc(l.Files(namespace, name), func(f File) bool { return slices.Contains(old, f) })
	l.added(namespace, name, append(kept, file), file)
	return nil
}

// added keeps the list of a table's files, to which a commit added one.
func (l *Lake) added(namespace, name string, files []File, file File) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.live[key(namespace, name)] = files
	l.unsynced = append(l.unsynced, file.Path)
}

func properties(at coverage.Coverage) iceberg.Properties {
	return iceberg.Properties{coverageProperty: at.String()}
}

func (l *Lake) commit(ctx context.Context, namespace, name string, change func(*table.Transaction) error) error {
	t := l.table(namespace, name)
	tx := t.NewTransaction()
	if err := change(tx); err != nil {
		return fmt.Errorf("change table %s.%s: %w", namespace, name, err)
	}
	next, err := tx.Commit(ctx)
	if err != nil {
		return fmt.Errorf("commit to table %s.%s: %w", namespace, name, err)
	}
	l.keep(namespace, name, next)
	return nil
}

// Files lists the data files of a table's current snapshot.
func (l *Lake) Files(namespace, name string) []File {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.live[key(namespace, name)])
}

func (l *Lake) setFiles(namespace, name string, files []File) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.live[key(namespace, name)] = files
}

// filesOf lists the data files of a snapshot.
func (l *Lake) filesOf(ctx context.Context, namespace, name string, snapshot int64) ([]File, error) {
	tasks, err := l.table(namespace, name).Scan(table.WithSnapshotID(snapshot)).PlanFiles(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the files of table %s.%s: %w", namespace, name, err)
	}
	files := make([]File, len(tasks))
	for i, task := range tasks {
		files[i] = File{local(task.File.FilePath()), task.File.Count(), task.File.FileSizeBytes()}
	}
	return files, nil
}

// TakeBack makes a snapshot current again that was published, and removes what
// came after it. It refuses one that is damaged. A mark of snapshot 0 empties the
// table.
func (l *Lake) TakeBack(ctx context.Context, namespace, name string, to Mark, columns []Column) error {
	current := l.snapshot(namespace, name)
	switch {
	case current == to.Snapshot:
	case to.Snapshot == 0:
		if err := l.Drop(ctx, namespace, name); err != nil {
			return err
		}
		return l.create(ctx, table.Identifier{namespace, name}, columns)
	default:
		if err := l.commit(ctx, namespace, name, func(t *table.Transaction) error { return t.RollbackToSnapshot(to.Snapshot) }); err != nil {
			return err
		}
		if err := l.Flush(ctx); err != nil {
			return err
		}
	}
	files, err := l.verify(ctx, namespace, name, to)
	if err != nil {
		return err
	}
	l.setFiles(namespace, name, files)
	return errors.Join(l.removeStrays(ctx, namespace, name), l.removeManifests(ctx, namespace, name), l.removeMetadata(namespace, name))
}

// removeStrays removes Parquet files that no snapshot names. Those that only a
// snapshot taken back names go when it expires.
func (l *Lake) removeStrays(ctx context.Context, namespace, name string) error {
	named := map[string]bool{}
	t := l.table(namespace, name)
	for _, s := range t.Metadata().Snapshots() {
		files, err := l.filesOf(ctx, namespace, name, s.SnapshotID)
		if err != nil {
			return err
		}
		for _, f := range files {
			if _, err := os.Stat(f.Path); err != nil {
				return fmt.Errorf("table %s.%s names a file that cannot be read: %w: remove the data directory to build the state anew from the log", namespace, name, err)
			}
			named[f.Path] = true
		}
	}
	return l.removeData(namespace, name, named)
}

// removeData removes the Parquet files of a table that are not to be kept.
func (l *Lake) removeData(namespace, name string, named map[string]bool) error {
	return removeOthers(filepath.Join(l.dir, namespace, name, "data", "*.parquet"), func(path string) bool { return named[path] })
}

// removeMetadata removes metadata files that the current one does not name, which a
// crash before a Flush leaves.
func (l *Lake) removeMetadata(namespace, name string) error {
	t := l.table(namespace, name)
	named := map[string]bool{filepath.Base(t.MetadataLocation()): true}
	for entry := range t.Metadata().PreviousFiles() {
		named[filepath.Base(entry.MetadataFile)] = true
	}
	return removeOthers(filepath.Join(l.dir, namespace, name, "metadata", "*.metadata.json"), func(path string) bool { return named[filepath.Base(path)] })
}

// Expire forgets all snapshots but the current one; files that only they named
// are deleted.
func (l *Lake) Expire(ctx context.Context, namespace, name string) error {
	if l.snapshot(namespace, name) == 0 {
		return nil
	}
	// The library's own clean-up fails on a file that two expired snapshots name,
	// as they do after one was taken back; so files are removed here.
	if err := l.commit(ctx, namespace, name, func(t *table.Transaction) error {
		return t.ExpireSnapshots(table.WithOlderThan(0), table.WithRetainLast(1), table.WithPostCommit(false))
	}); err != nil {
		return err
	}
	if err := l.Flush(ctx); err != nil { // before what older metadata names is gone
		return err
	}
	named := map[string]bool{}
	for _, f := range l.Files(namespace, name) {
		named[f.Path] = true
	}
	return errors.Join(l.removeData(namespace, name, named), l.removeManifests(ctx, namespace, name))
}

// removeManifests removes manifests and manifest lists that no snapshot names.
func (l *Lake) removeManifests(ctx context.Context, namespace, name string) error {
	t := l.table(namespace, name)
	files, err := t.FS(ctx)
	if err != nil {
		return fmt.Errorf("open the files of table %s.%s: %w", namespace, name, err)
	}
	named := map[string]bool{}
	for _, s := range t.Metadata().Snapshots() {
		named[filepath.Base(s.ManifestList)] = true
		manifests, err := s.Manifests(files)
		if err != nil {
			return fmt.Errorf("read the manifests of table %s.%s: %w", namespace, name, err)
		}
		for _, m := range manifests {
			named[filepath.Base(m.FilePath())] = true
		}
	}
	return removeOthers(filepath.Join(l.dir, namespace, name, "metadata", "*.avro"), func(path string) bool { return named[filepath.Base(path)] })
}

// removeOthers removes the files that match a pattern and are not to be kept.
func removeOthers(pattern string, keep func(path string) bool) error {
	found, err := filepath.Glob(pattern)
	if err != nil {
		return err
	}
	for _, f := range found {
		if !keep(f) {
			if err := os.Remove(f); err != nil {
				return fmt.Errorf("remove a file that nothing names: %w", err)
			}
		}
	}
	return nil
}

// Drop removes a table with its files.
func (l *Lake) Drop(ctx context.Context, namespace, name string) error {
	if err := l.catalog.DropTable(ctx, table.Identifier{namespace, name}); err != nil && !errors.Is(err, catalog.ErrNoSuchTable) {
		return fmt.Errorf("drop table %s.%s: %w", namespace, name, err)
	}
	l.mu.Lock()
	delete(l.tables, key(namespace, name))
	delete(l.pending, key(namespace, name))
	delete(l.live, key(namespace, name))
	folder := filepath.Join(l.dir, namespace, name) + string(filepath.Separator)
	l.unsynced = slices.DeleteFunc(l.unsynced, func(f string) bool { return strings.HasPrefix(f, folder) })
	l.mu.Unlock()
	if err := os.RemoveAll(filepath.Join(l.dir, namespace, name)); err != nil {
		return fmt.Errorf("remove the files of table %s.%s: %w", namespace, name, err)
	}
	return nil
}

// Namespaces lists the namespaces that begin with a prefix.
func (l *Lake) Namespaces(ctx context.Context, prefix string) ([]string, error) {
	all, err := l.catalog.ListNamespaces(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("list namespaces: %w", err)
	}
	var names []string
	for _, n := range all {
		if strings.HasPrefix(n[0], prefix) {
			names = append(names, n[0])
		}
	}
	return names, nil
}
