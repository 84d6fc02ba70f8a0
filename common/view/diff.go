package view

import "strings"

// Difference counts how an answer departs from the truth.
type Difference struct {
	Checked int64 `json:"rows_checked"` // rows of the truth plus extra rows
	Wrong   int64 `json:"rows_wrong"`   // same key, other values
	Missing int64 `json:"rows_missing"` // in the truth only
	Extra   int64 `json:"rows_extra"`   // in the answer only, repeated keys included
	// MaxAbsMilli is the greatest departure of any amount, in thousandths of a pound.
	MaxAbsMilli int64 `json:"max_abs_milli"`
}

// Any reports whether there is a difference at all.
func (d Difference) Any() bool { return d.Wrong+d.Missing+d.Extra > 0 }

// Add sums counts and keeps the greater amount.
func (d *Difference) Add(o Difference) {
	d.Checked += o.Checked
	d.Wrong += o.Wrong
	d.Missing += o.Missing
	d.Extra += o.Extra
	d.MaxAbsMilli = max(d.MaxAbsMilli, o.MaxAbsMilli)
}

// Diff compares an answer with the truth. Both should be in the schema's order;
// a row of got that is out of order or repeated counts as extra (and, where it
// displaced another, missing), never as right.
func Diff(s Schema, got, want []Row) Difference {
	var d Difference
	i, j := 0, 0
	for i < len(got) || j < len(want) {
		order := 0
		switch {
		case i == len(got):
			order = 1
		case j == len(want):
			order = -1
		default:
			order = s.Compare(&got[i], &want[j])
		}
		d.Checked++
		switch {
		case order < 0:
			d.Extra++
			d.MaxAbsMilli = max(d.MaxAbsMilli, s.amountApart(&got[i], &Row{}))
			i++
		case order > 0:
			d.Missing++
			d.MaxAbsMilli = max(d.MaxAbsMilli, s.amountApart(&want[j], &Row{}))
			j++
		default:
			if got[i] != want[j] {
				d.Wrong++
				d.MaxAbsMilli = max(d.MaxAbsMilli, s.amountApart(&got[i], &want[j]))
			}
			i++
			j++
		}
	}
	return d
}

// amountApart is the greatest absolute difference over the columns that hold money.
func (s Schema) amountApart(a, b *Row) int64 {
	var most int64
	num := 0
	for _, c := range s.Columns {
		if c.Text {
			continue
		}
		if strings.HasSuffix(c.Name, "_milli") {
			apart := a.Num[num] - b.Num[num]
			most = max(most, apart, -apart)
		}
		num++
	}
	return most
}
