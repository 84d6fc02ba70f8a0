package duck_test

import (
	"os"
	"path/filepath"
	"testing"

	"archbench/common/duck"
)

// What does not fit in memory is spilled, and connections may be opened after that.
func TestConnectionsAfterSpilling(t *testing.T) {
	temp := filepath.Join(t.TempDir(), "it's 100% temporary")
	db, err := duck.Open(t.Context(), duck.Options{MemoryBytes: 64 << 20, Threads: 1, TempDir: temp})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	// Held by one connection, so that the next call needs another.
	first, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if _, err := first.ExecContext(t.Context(), "CREATE TABLE big AS SELECT i, 'some text that takes room ' || hash(i) AS text FROM range(3000000) t(i)"); err != nil {
		t.Fatal(err)
	}
	spilled, err := os.ReadDir(temp)
	if err != nil || len(spilled) == 0 {
		t.Fatalf("nothing was spilled into %s (%v): nothing is tried", temp, err)
	}
	var n int64
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM big WHERE text <> ''").Scan(&n); err != nil || n != 3_000_000 {
		t.Errorf("%d rows, %v", n, err)
	}
}

// Options hold for the database.
func TestOptions(t *testing.T) {
	db, err := duck.Open(t.Context(), duck.Options{MemoryBytes: 100 << 20, Threads: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for setting, want := range map[string]string{"threads": "3", "memory_limit": "100.0 MiB", "temp_directory": "", "autoload_known_extensions": "false", "preserve_insertion_order": "false"} {
		var got string
		if err := db.QueryRowContext(t.Context(), "SELECT current_setting('"+setting+"')::VARCHAR").Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q, want %q (%v)", setting, got, want, err)
		}
	}
	if _, err := db.ExecContext(t.Context(), "SELECT 1"); err != nil {
		t.Error(err)
	}
}
