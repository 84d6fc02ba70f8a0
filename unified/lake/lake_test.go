package lake

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"archbench/common/coverage"
	"archbench/common/duck"
)

const definition = "partition INTEGER, country VARCHAR, lines BIGINT"

// open opens a warehouse with the tables a.t and b.t.
func open(t *testing.T, dir string) *Lake {
	t.Helper()
	l, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	for _, namespace := range []string{"a", "b"} {
		if err := l.Ensure(t.Context(), namespace, "t", Columns(definition)); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// add commits a file with some rows to a table.
func add(t *testing.T, l *Lake, namespace string, rows int) File {
	t.Helper()
	db, err := duck.Open(t.Context(), duck.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	path := l.NewFile(namespace, "t")
	if err := db.Do(t.Context(), "write rows", fmt.Sprintf("COPY (SELECT 1::INTEGER AS partition, 'country ' || range AS country, range AS lines FROM range(%d)) TO %s (FORMAT parquet)", rows, duck.Quote(path))); err != nil {
		t.Fatal(err)
	}
	file, err := Seal(path, int64(rows))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Add(t.Context(), namespace, "t", file, coverage.Zero(1)); err != nil {
		t.Fatal(err)
	}
	return file
}

func mark(t *testing.T, l *Lake, namespace string) Mark {
	t.Helper()
	m, err := l.Mark(namespace, "t")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// What was committed to several tables shows in the catalog with one Flush, and is
// gone after a crash before it, with its files.
func TestFlushMovesTablesTogether(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	first := add(t, l, "a", 10)
	add(t, l, "b", 10)
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	a, b := mark(t, l, "a"), mark(t, l, "b")
	add(t, l, "a", 20)
	add(t, l, "b", 20)
	if mark(t, l, "a") == a {
		t.Fatal("a commit does not show in the lake that made it")
	}
	l.Close() // as a crash would leave it

	l = open(t, dir)
	if mark(t, l, "a") != a || mark(t, l, "b") != b {
		t.Errorf("commits before a Flush show in the catalog: %v, %v, want %v, %v", mark(t, l, "a"), mark(t, l, "b"), a, b)
	}
	before := count(t, dir)
	for namespace, m := range map[string]Mark{"a": a, "b": b} {
		if err := l.TakeBack(t.Context(), namespace, "t", m, Columns(definition)); err != nil {
			t.Fatal(err)
		}
	}
	// One of each is kept: data file, manifest, manifest list; and the metadata files of
	// the creation and of one commit.
	if after := count(t, dir); before != 2*9 || after != 2*5 {
		t.Errorf("%d files before what was not flushed was taken back and %d after it, want 18 and 10", before, after)
	}
	if files := l.Files("a", "t"); len(files) != 1 || files[0] != first {
		t.Errorf("table a has the files %v, want %s", files, first.Path)
	}
	add(t, l, "a", 30)
	add(t, l, "b", 30)
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	a, b = mark(t, l, "a"), mark(t, l, "b")
	l.Close()
	if l = open(t, dir); mark(t, l, "a") != a || mark(t, l, "b") != b {
		t.Error("flushed commits do not show in the catalog")
	}
}

func count(t *testing.T, dir string) int {
	t.Helper()
	n := 0
	for _, pattern := range []string{"*/t/data/*", "*/t/metadata/*"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		n += len(found)
	}
	return n
}

func TestFlushRefusesWhatAnotherProcessChanged(t *testing.T) {
	l := open(t, t.TempDir())
	add(t, l, "a", 10)
	add(t, l, "b", 10)
	b := l.pending["b.t"].from
	if _, err := l.db.ExecContext(t.Context(), "UPDATE iceberg_tables SET metadata_location = 'elsewhere' WHERE table_namespace = 'a'"); err != nil {
		t.Fatal(err)
	}
	if err := l.Flush(t.Context()); err == nil || !strings.Contains(err.Error(), "table a.t") || !strings.Contains(err.Error(), "another process changed it") {
		t.Errorf("it ended with %v", err)
	}
	var now string
	if err := l.db.QueryRowContext(t.Context(), "SELECT metadata_location FROM iceberg_tables WHERE table_namespace = 'b'").Scan(&now); err != nil || now != b {
		t.Errorf("the other table moved to %s (%v), want all or none", now, err)
	}
}
