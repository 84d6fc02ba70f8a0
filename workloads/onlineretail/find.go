package onlineretail

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ErrNotFound means that no data file is in any of the known places.
var ErrNotFound = errors.New("the Online Retail data was not found")

// HowToGet is a sentence for those who do not have the data.
const HowToGet = "download it from https://doi.org/10.24432/C5BW33, save it as CSV (UTF-8) with the header " +
	"InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country and dates like 2010-12-01 08:26:00, " +
	"and name it with --set workload.path=FILE or ARCHBENCH_WORKLOAD_PATH"

// Find returns the data file: path if it is given, else the first of the known
// places that exists, counted from the repository root, else from the working directory.
func Find(path string) (string, error) {
	if path != "" {
		return path, given(path)
	}
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	root := repositoryRoot(wd)
	for _, from := range []string{root, wd} {
		for _, name := range []string{"../shared/data/online-retail.csv.zst", "online-retail.csv", "online-retail.csv.zst"} {
			if p := filepath.Join(from, name); isFile(p) {
				return p, nil
			}
		}
	}
	return "", fmt.Errorf("%w below %s: %s", ErrNotFound, root, HowToGet)
}

// given checks a path that somebody named.
func given(path string) error {
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a folder where a file is needed: %w", path, fs.ErrNotExist)
	}
	if err != nil {
		return fmt.Errorf("workload.path: %w", err)
	}
	return nil
}

// repositoryRoot is the nearest folder upwards with this module's go.mod, else the folder itself.
func repositoryRoot(from string) string {
	for dir := from; ; dir = filepath.Dir(dir) {
		if isOurModule(filepath.Join(dir, "go.mod")) {
			return dir
		}
		if dir == filepath.Dir(dir) {
			return from
		}
	}
}

// isOurModule keeps a binary that runs inside another module from looking around there.
func isOurModule(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, is := strings.CutPrefix(lines.Text(), "module "); is {
			return strings.TrimSpace(name) == "archbench"
		}
	}
	return false
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}
