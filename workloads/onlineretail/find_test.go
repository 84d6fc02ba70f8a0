package onlineretail

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tree makes empty files, and go.mod files of the module that is named behind a colon.
func tree(t *testing.T, names ...string) string {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		name, module, _ := strings.Cut(name, ":")
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("// a comment\nmodule "+module+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestFind(t *testing.T) {
	const ours, shared, plain, packed = "repo/go.mod:archbench", "shared/data/online-retail.csv.zst", "online-retail.csv", "online-retail.csv.zst"
	for _, c := range []struct {
		name  string
		files []string
		wd    string
		want  string // empty: not found
	}{
		{"beside the repository", []string{ours, "repo/a/b/x", shared, "repo/" + plain}, "repo/a/b", shared},
		{"in the repository", []string{ours, "repo/a/b/x", "repo/" + plain, "repo/" + packed}, "repo/a/b", "repo/" + plain},
		{"compressed", []string{ours, "repo/" + packed}, "repo", "repo/" + packed},
		{"in the working directory", []string{ours, "repo/a/" + plain}, "repo/a", "repo/a/" + plain},
		{"without a repository", []string{"a/" + plain}, "a", "a/" + plain},
		{"in another module", []string{"repo/go.mod:other", "repo/a/x", "repo/" + plain}, "repo/a", ""},
		{"nowhere", []string{ours}, "repo", ""},
		{"a folder of that name", []string{ours, "repo/" + plain + "/x"}, "repo", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := tree(t, c.files...)
			t.Chdir(filepath.Join(root, c.wd))
			got, err := Find("")
			if c.want == "" {
				if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), HowToGet) {
					t.Errorf("%s %v, want not found and how to get it", got, err)
				}
				return
			}
			if err != nil || got != filepath.Join(root, c.want) {
				t.Errorf("%s %v, want %s", got, err, c.want)
			}
		})
	}
}

func TestFindGiven(t *testing.T) {
	root := tree(t, "mine.csv", "online-retail.csv")
	t.Chdir(root)
	if got, err := Find("mine.csv"); err != nil || got != "mine.csv" {
		t.Errorf("%s %v", got, err)
	}
	for _, missing := range []string{"no.csv", root} {
		if _, err := Find(missing); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "workload.path") {
			t.Errorf("%s: %v, want an error that names workload.path and looks nowhere else", missing, err)
		}
	}
}
