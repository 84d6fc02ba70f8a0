package unified

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"archbench/common/architecture"
)

// A file that is not what was written is refused by name, with what to do.
func TestDamagedFilesAreRefusedByName(t *testing.T) {
	truncate := func(content []byte) []byte { return content[:len(content)/2] }
	flip := func(content []byte) []byte {
		content[len(content)/2] ^= 1
		return content
	}
	for _, c := range []struct {
		name, files string // files is a pattern in the data directory
		damage      func([]byte) []byte
	}{
		{"truncated record", publishedName, truncate},
		{"flipped bit in the record", publishedName, flip},
		{"foreign record", publishedName, func([]byte) []byte { return []byte("no record of ours\n") }},
		{"truncated table metadata", "warehouse/silver/lines/metadata/*.metadata.json", truncate},
		{"truncated manifest list", "warehouse/silver/lines/metadata/snap-*.avro", truncate},
		{"flipped bit in a manifest list", "warehouse/silver/lines/metadata/snap-*.avro", flip},
		{"truncated manifest", "warehouse/silver/lines/metadata/*-m*.avro", truncate},
		{"truncated data file", "warehouse/gold_1/country_windows/data/*.parquet", truncate},
		{"flipped bit in a data file", "warehouse/bronze/orders/data/*.parquet", flip},
		{"empty data file", "warehouse/silver/lines/data/*.parquet", func([]byte) []byte { return nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFeed(t, architecture.Config{Threads: 1})
			f.put(1_000)
			f.batch()
			f.stop()
			found, err := filepath.Glob(filepath.Join(f.c.Dir, c.files))
			if err != nil || len(found) == 0 {
				t.Fatalf("nothing to damage: %v, %v", found, err)
			}
			for _, path := range found {
				content, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, c.damage(bytes.Clone(content)), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			u, err := Open(t.Context(), f.c)
			if err == nil {
				t.Fatal("taken for good", u.close())
			}
			named := func(path string) bool { return strings.Contains(err.Error(), path) }
			if !slices.ContainsFunc(found, named) || !strings.Contains(err.Error(), "remove the data directory") {
				t.Errorf("refused without the file's name or what to do: %v", err)
			}
		})
	}
}
