package stream_test

import (
	"testing"

	"archbench/common/stream"
)

func TestTimesWidenToWhatTheyInclude(t *testing.T) {
	of := func(times ...int64) (all stream.Times) {
		for _, at := range times {
			all.Add(at)
		}
		return all
	}
	for _, c := range []struct{ a, b, want stream.Times }{
		{of(), of(), stream.Times{}},
		{of(-5), of(), stream.Times{Earliest: -5, Latest: -5, Any: true}},
		{of(), of(7), stream.Times{Earliest: 7, Latest: 7, Any: true}}, // no time is 0 where there was none
		{of(0), of(7), stream.Times{Earliest: 0, Latest: 7, Any: true}},
		{of(3, 9, 4), of(1, 5), stream.Times{Earliest: 1, Latest: 9, Any: true}},
	} {
		for _, pair := range [][2]stream.Times{{c.a, c.b}, {c.b, c.a}} {
			got := pair[0]
			if got.Merge(pair[1]); got != c.want {
				t.Errorf("%+v and %+v make %+v, want %+v", pair[0], pair[1], got, c.want)
			}
		}
	}
}
