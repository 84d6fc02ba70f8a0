package judge

import (
	"strings"

	"archbench/common/view"
)

// maxRows is how many differing rows an example shows.
const maxRows = 3

// firstApart shows the first rows that differ, in the order of the view.
func firstApart(s view.Schema, got, want []view.Row) string {
	var said []string
	text := func(r *view.Row) string { return string(s.AppendJSON(nil, r)) }
	for len(said) < maxRows && len(got)+len(want) > 0 {
		switch {
		case len(want) == 0 || len(got) > 0 && s.Compare(&got[0], &want[0]) < 0:
			said = append(said, "extra "+text(&got[0]))
			got = got[1:]
		case len(got) == 0 || s.Compare(&got[0], &want[0]) > 0:
			said = append(said, "missing "+text(&want[0]))
			want = want[1:]
		default:
			if got[0] != want[0] {
				said = append(said, "got "+text(&got[0])+" where the truth has "+text(&want[0]))
			}
			got, want = got[1:], want[1:]
		}
	}
	return strings.Join(said, "; ")
}
