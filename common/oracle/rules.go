package oracle

import (
	"fmt"
	"strings"

	"archbench/common/view"
)

// The rules and the windows are written down here once more, in other words than
// those of package view that the kernels go by: a slip there must show as a
// difference and not as a shared error.

// codeUnder returns the stock code under which a line counts, and whether it counts at all.
type codeUnder func(stockCode string) (code string, counts bool)

func codesOf(r view.Rules) (codeUnder, error) {
	switch r {
	case 1:
		return asSpelled, nil
	case 2:
		return merchandise(), nil
	}
	return nil, fmt.Errorf("the oracle knows rules 1 and 2, not %d", r)
}

// asSpelled is rules 1: every usable line counts.
func asSpelled(stockCode string) (string, bool) { return stockCode, true }

// merchandise is rules 2; it remembers the codes it has met, for one question.
func merchandise() codeUnder {
	type verdict struct {
		code   string
		counts bool
	}
	met := map[string]verdict{}
	return func(stockCode string) (string, bool) {
		v, known := met[stockCode]
		if !known {
			v.code = upper(stockCode)
			v.counts = !noMerchandise(v.code)
			met[stockCode] = v
		}
		return v.code, v.counts
	}
}

// noMerchandise reports whether rules 2 leave a folded code out of every view.
func noMerchandise(code string) bool {
	switch code {
	case "POST", "DOT", "M", "C2", "D", "S", "B", "PADS", "BANK CHARGES", "AMAZONFEE", "CRUK":
		return true
	}
	return strings.HasPrefix(code, "DCGS") || strings.HasPrefix(code, "GIFT_0001_")
}

// upper folds ASCII a–z to A–Z and trims nothing.
func upper(code string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r - 'a' + 'A'
		}
		return r
	}, code)
}

// windowOf returns the start of the window that holds an instant, both ms:
// the greatest multiple of size that is not above it.
func windowOf(instant, size int64) int64 {
	n := instant / size
	if instant%size < 0 {
		n--
	}
	return n * size
}
