package archbench_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pkg is what go list says of a package.
type pkg struct {
	ImportPath                         string
	Dir                                string
	Imports, TestImports, XTestImports []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Dir,Imports,TestImports,XTestImports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// allowed says which top-level folders the non-test files of each may import.
var allowed = map[string][]string{
	"common":         {},
	"lambda":         {"common"},
	"kappa":          {"common"},
	"unified":        {"common"},
	"workloads":      {"common"},
	"testcontainers": {"common"},
	"results":        {"common"},
	"bench":          {"workloads", "testcontainers", "results", "common"},
	"cmd":            {"bench", "workloads", "testcontainers", "results", "common", "lambda", "kappa", "unified"},
}

// testOnly are the exceptions for test files, by name.
var testOnly = map[string][]string{
	"archbench/kappa":   {"archbench/bench/conformance", "archbench/workloads/workloadtest"},
	"archbench/lambda":  {"archbench/bench/conformance", "archbench/workloads", "archbench/workloads/synthetic", "archbench/workloads/workloadtest"},
	"archbench/unified": {"archbench/bench/conformance", "archbench/workloads", "archbench/workloads/synthetic", "archbench/workloads/workloadtest"},
}

// within says which packages of common each package of common may import. Those
// that are not listed may import none.
var within = map[string][]string{
	"view":              {"event"},
	"eventlog":          {"coverage"},
	"eventlog/memlog":   {"eventlog"},
	"eventlog/kafkalog": {"eventlog"},
	"eventlog/logtest":  {"eventlog"},

	"eventlog/kafkalog/kafkalogtest": {"eventlog", "eventlog/kafkalog", "eventlog/logtest"},

	"stream":            {"event", "view"},
	"batch":             {"event", "view", "duck"},
	"oracle":            {"event", "coverage", "view"},
	"oracle/oracletest": {"event", "eventlog", "coverage", "view", "oracle"},
	"alerts":            {"eventlog", "fault", "view"},
	"architecture":      {"alerts", "coverage", "view", "eventlog", "fault"},
	"serving":           {"architecture", "coverage", "view"},
	"intake":            {"event", "eventlog", "fault"},
	"datadir":           {"architecture", "coverage", "durable", "eventlog", "view"},
}

func split(importPath string) (top, rest string, ours bool) {
	path, ours := strings.CutPrefix(importPath, "archbench/")
	top, rest, _ = strings.Cut(path, "/")
	return top, rest, ours
}

func TestImportsFollowTheMap(t *testing.T) {
	for _, p := range packages(t) {
		top, rest, ours := split(p.ImportPath)
		if !ours {
			continue
		}
		may, known := allowed[top]
		if !known {
			t.Errorf("%s is in no folder of the map", p.ImportPath)
		}
		for _, imported := range p.Imports {
			to, toRest, ours := split(imported)
			switch {
			case !ours:
			case to != top && !slices.Contains(may, to):
				t.Errorf("%s imports %s: %s may import %v only", p.ImportPath, imported, top, may)
			case to == "common" && top == "common" && !slices.Contains(within[rest], toRest):
				t.Errorf("%s imports %s: within common it may import %v only", p.ImportPath, imported, within[rest])
			}
		}
		for _, imported := range slices.Concat(p.TestImports, p.XTestImports) {
			to, _, ours := split(imported)
			if ours && to != top && !slices.Contains(may, to) && !slices.Contains(testOnly[p.ImportPath], imported) {
				t.Errorf("the tests of %s import %s, which is no exception that stands here by name", p.ImportPath, imported)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for _, p := range packages(t) {
		if strings.HasPrefix(p.ImportPath, "archbench/cmd/") {
			continue
		}
		if _, err := os.Stat(filepath.Join(p.Dir, "doc.go")); err != nil {
			t.Errorf("%s has no doc.go", p.ImportPath)
		}
	}
}
