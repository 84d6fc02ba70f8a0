package view

import (
	"fmt"
	"slices"
	"strings"
)

// Rules numbers a version of the business logic.
type Rules int

// The known versions.
const (
	// EveryLine (rules 1): every usable line counts, the stock code as spelled.
	EveryLine Rules = 1
	// MerchandiseOnly (rules 2): codes are folded to upper case; postage, fees,
	// samples and vouchers count in no view.
	MerchandiseOnly Rules = 2
)

// Versions is how many there are.
const Versions = 2

// AllRules lists the known versions, oldest first.
func AllRules() [Versions]Rules { return [...]Rules{EveryLine, MerchandiseOnly} }

// ParseRules checks a version number; the error lists those that exist.
func ParseRules(n int) (Rules, error) {
	if known := AllRules(); slices.Contains(known[:], Rules(n)) {
		return Rules(n), nil
	}
	return 0, fmt.Errorf("unknown rules %d: the rules are 1 (every line) and 2 (merchandise only)", n)
}

// Logic is what one version of the rules says, as data that each kernel applies in its own way.
type Logic struct {
	FoldCode         bool     // ASCII a–z of the stock code become A–Z, in every view
	ExcludedCodes    []string // lines with these (folded) codes count in no view
	ExcludedPrefixes []string // nor those whose (folded) code begins so
}

// Logic returns what the version says. Rules that ParseRules refuses have the logic of rules 1.
func (r Rules) Logic() Logic {
	if r != MerchandiseOnly {
		return Logic{}
	}
	return Logic{
		FoldCode:         true,
		ExcludedCodes:    []string{"POST", "DOT", "M", "C2", "D", "S", "B", "PADS", "BANK CHARGES", "AMAZONFEE", "CRUK"},
		ExcludedPrefixes: []string{"DCGS", "GIFT_0001_"},
	}
}

// Code returns the stock code under which a line counts, and whether it counts at all.
func (l Logic) Code(code string) (folded string, counts bool) {
	if l.FoldCode {
		code = FoldASCII(code)
	}
	if slices.Contains(l.ExcludedCodes, code) {
		return code, false
	}
	for _, p := range l.ExcludedPrefixes {
		if strings.HasPrefix(code, p) {
			return code, false
		}
	}
	return code, true
}

// FoldASCII turns a–z into A–Z and leaves every other byte alone.
func FoldASCII(s string) string {
	for i := 0; i < len(s); i++ {
		if 'a' <= s[i] && s[i] <= 'z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if 'a' <= b[i] && b[i] <= 'z' {
					b[i] -= 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}
