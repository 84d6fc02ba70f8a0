package conformance

import (
	"fmt"

	"archbench/common/event"
	"archbench/common/oracle"
	"archbench/common/view"
)

// boundedBugs are those of the reference that only policy bounded shows.
var boundedBugs = []string{
	"late lines count", "late on the edge", "late lines claim their id", "ids are known for ever", "ids are forgotten too soon",
	"one watermark for all partitions", "duplicates do not move the watermark", "left out lines do not move the watermark",
	"watermark anew at restart", "correct the join", "late lines are not reported", "one customer too many",
}

// kept replays each partition as policy bounded says and returns its values with
// those that do not count taken out. It shares nothing with the oracle's replay:
// what it knows of ids is a list.
func (r *reference) kept(rules view.Rules) (orders [][][]byte, counts oracle.Counts) {
	lateness := r.c.Lateness.Milliseconds()
	const none = -1 << 60
	all := int64(none)
	if r.bug == "one watermark for all partitions" {
		for _, values := range r.state.Orders {
			for _, v := range values {
				var l event.OrderLine
				if event.NewDecoder().Order(v, &l) == nil {
					all = max(all, l.EventTimeMS)
				}
			}
		}
	}
	d := event.NewDecoder()
	for p, values := range r.state.Orders {
		watermark := all
		var ids []event.OrderLine // that are known
		var out [][]byte
		for offset, v := range values {
			if r.bug == "watermark anew at restart" && int64(offset) == r.opened[p] {
				watermark = none
			}
			var l event.OrderLine
			if d.Order(v, &l) != nil {
				out = append(out, v)
				continue
			}
			horizon := watermark - lateness
			late := l.EventTimeMS < horizon || r.bug == "late on the edge" && l.EventTimeMS == horizon
			known := -1
			for n := range ids {
				until := ids[n].EventTimeMS
				if r.bug == "ids are forgotten too soon" {
					until--
				}
				if ids[n].EventID == l.EventID && (until >= horizon || r.bug == "ids are known for ever") {
					known = n
				}
			}
			switch _, merchandise := rules.Logic().Code(l.StockCode); {
			case r.bug == "duplicates do not move the watermark" && known >= 0:
			case r.bug == "left out lines do not move the watermark" && !merchandise:
			default:
				watermark = max(watermark, l.EventTimeMS)
			}
			switch {
			case late:
				counts.Late++
				if r.bug == "late lines claim their id" {
					l.EventTimeMS = watermark // so that it is known for a while
					ids = append(ids, l)
				}
				if r.bug != "late lines count" {
					v = nil
				}
			case known >= 0:
				counts.Duplicate++
				if !ids[known].SameContent(&l) {
					counts.Conflict++
				}
				v = nil
			default:
				counts.Lines++
				ids = append(ids, l)
				l.EventID = fmt.Sprint(l.EventID, "#", offset) // claimed anew, it is another line to the exact oracle
				v = event.AppendOrder(nil, &l)
			}
			out = append(out, v)
		}
		orders = append(orders, out)
	}
	return orders, counts
}

// segments is revenue_by_segment with each line joined with what was known when it came.
func (r *reference) segments(orders [][][]byte, rules view.Rules) []view.Row {
	size, logic, d := r.c.Params.Segment.Milliseconds(), rules.Logic(), event.NewDecoder()
	sums := map[view.Row]view.Row{}
	for p, values := range orders {
		for offset, v := range values {
			var l event.OrderLine
			if d.Order(v, &l) != nil {
				continue
			}
			if _, counts := logic.Code(l.StockCode); !counts {
				continue
			}
			var known []event.ProfileChange
			for _, value := range r.state.Customers[p][:r.state.Known[p][offset]] {
				var c event.ProfileChange
				if d.Profile(value, &c) == nil {
					known = append(known, c)
				}
			}
			k := view.Row{Num: [view.MaxNums]int64{view.WindowStart(l.EventTimeMS, size)}}
			k.Text = segmentAsOf(known, l.CustomerID, k.Num[0])
			net := int64(0)
			if l.Kind != event.Adjustment {
				net = l.AmountMilli()
			}
			s := sums[k]
			sums[k] = view.Row{Text: k.Text, Num: [view.MaxNums]int64{k.Num[0], s.Num[1] + 1, s.Num[2] + net}}
		}
	}
	var rows []view.Row
	for _, row := range sums {
		rows = append(rows, row)
	}
	view.RevenueBySegment.Schema().Sort(rows)
	return rows
}
