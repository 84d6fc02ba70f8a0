package onlineretail

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ErrNotFound means that no data file is in any of the known places.
var ErrNotFound = errors.New("the Online Retail data was not found")

// HowToGet is a sentence for those who do not have the data.
const HowToGet = "download it from https://doi.org/10.24432/C5BW33, save it as CSV with the header " +
	"InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country, and name it with --set workload.path=FILE or ARCHBENCH_WORKLOAD_PATH"

// Find returns the data file: path if it is given, else the first of the known
// places below the repository root (else the working directory) that exists.
func Find(path string) (string, error) {
	if path != "" {
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("workload.path: %w", err)
		}
		return path, nil
	}
	root, err := repositoryRoot()
	if err != nil {
		return "", err
	}
	for _, name := range []string{"../shared/data/online-retail.csv.zst", "online-retail.csv", "online-retail.csv.zst"} {
		if p := filepath.Join(root, name); exists(p) {
			return p, nil
		}
	}
	return "", fmt.Errorf("%w below %s: %s", ErrNotFound, root, HowToGet)
}

// repositoryRoot is the nearest folder upwards that holds the module's go.mod, else the working directory.
func repositoryRoot() (string, error) {
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := wd; ; dir = filepath.Dir(dir) {
		if exists(filepath.Join(dir, "go.mod")) {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return wd, nil
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
