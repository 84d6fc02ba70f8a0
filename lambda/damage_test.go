package lambda

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"archbench/common/durable"
	"archbench/common/view"
)

// damages are what a disk may do to a file.
var damages = map[string]func(content []byte) []byte{
	"truncated": func(c []byte) []byte { return c[:len(c)/2] },
	"empty":     func([]byte) []byte { return nil },
	"torn": func(c []byte) []byte { // its second half was never written
		return append(bytes.Clone(c[:len(c)/2]), make([]byte, len(c)-len(c)/2)...)
	},
}

// kept is a stopped instance with segments and a batch view, and a line that the
// view does not have.
func kept(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t, 2, never)
	l := f.open()
	stop := f.run(l)
	f.sales(0, 400)
	f.covered(l, 400)
	raise(l.wake)
	eventually(t, "a batch", func() bool { return l.Status().Batch.Runs == 1 })
	f.sales(400, 50)
	f.covered(l, 450)
	stop()
	return f
}

// damage changes the one file that matches the pattern, and returns its path.
func (f *fixture) damage(pattern string, how func([]byte) []byte) string {
	f.t.Helper()
	found, err := filepath.Glob(filepath.Join(f.config.Dir, pattern))
	if err != nil || len(found) == 0 {
		f.t.Fatalf("no file %s: %v", pattern, err)
	}
	content, err := os.ReadFile(found[0])
	if err == nil {
		err = os.WriteFile(found[0], how(content), 0o644)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return found[0]
}

// What only the log could give back is refused by name.
func TestDamagedStateIsRefused(t *testing.T) {
	for _, file := range []string{pointerName, "master/manifest", "master/*.lines.parquet", "master/*.changes.parquet"} {
		for name, how := range damages {
			t.Run(file+" "+name, func(t *testing.T) {
				f := kept(t)
				path := f.damage(file, how)
				_, err := Open(t.Context(), f.config)
				var d *durable.Damaged
				if !errors.As(err, &d) || d.Path != path {
					t.Errorf("got %v, want a refusal that names %s", err, path)
				}
			})
		}
	}
}

// A batch view is computed anew from the segments.
func TestDamagedBatchViewIsComputedAnew(t *testing.T) {
	harms := map[string]func(*fixture, string){
		"missing": func(f *fixture, file string) {
			if err := os.RemoveAll(filepath.Join(f.config.Dir, filepath.Dir(file))); err != nil {
				f.t.Fatal(err)
			}
		},
	}
	for name, how := range damages {
		harms[name] = func(f *fixture, file string) { f.damage(file, how) }
	}
	for name, harm := range harms {
		t.Run(name, func(t *testing.T) {
			f := kept(t)
			harm(f, "batch/1/"+string(view.Partials()[0])+".parquet")
			for range 2 { // as rebuilt, and as found again
				l := f.open()
				a, err := l.Answer(t.Context(), view.Query{View: view.RevenueByCountry})
				lines := int64(0)
				for _, r := range a.Rows {
					lines += r.Num[1]
				}
				if err != nil || lines != 450 || a.Coverage.Sum() != 450 || a.Seam.Sum() != 450 {
					t.Errorf("%d lines at %s, seam %v, %v; want all 450 from the batch layer", lines, a.Coverage, a.Seam, err)
				}
				if err := l.close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
