package durable_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"archbench/common/durable"
)

func TestCheckFileFindsWhatSyncFileDidNotSum(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows")
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("twelve bytes")
	sum, err := durable.SyncFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := durable.CheckFile(path, sum, "do this"); err != nil {
		t.Errorf("an unchanged file: %v", err)
	}
	refused := func(what string) {
		t.Helper()
		var d *durable.Damaged
		if err := durable.CheckFile(path, sum, "do this"); !errors.As(err, &d) || d.Path != path || !strings.HasSuffix(err.Error(), "do this") {
			t.Errorf("%s file: got %v, want a refusal that names it and says what to do", what, err)
		}
	}
	write("twelve bytez")
	refused("a changed")
	write("twelve")
	refused("a truncated")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	refused("a missing")
}
