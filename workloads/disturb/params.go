package disturb

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Params say how much is disturbed. The zero value disturbs nothing. A share is
// a number from 0 to 1.
type Params struct {
	Seed uint64

	Late     float64       // share of the order lines that are sent late
	Lateness time.Duration // mean lateness of lines and profile changes, in event time

	OutOfOrder   float64 // share of the order lines that change places with those behind
	Displacement int64   // events that such a line lets pass at most

	Duplicates   float64 // lines sent again, as a share of the order lines
	Poison       float64 // unusable records, as a share of the events of both topics
	LateProfiles float64 // share of the profile changes that are sent after they began to be valid
	Skew         float64 // share of the order lines whose producer's clock runs a day ahead

	// Schema2 makes the second half of the events speak schema version 2. Of a
	// source without end, that is the events from HalfWay on.
	Schema2 bool
	HalfWay int64
}

// Check refuses parameters that make no sense, by the names of their settings.
func (p Params) Check() error {
	for _, share := range []struct {
		key   string
		value float64
	}{
		{"late", p.Late}, {"out_of_order", p.OutOfOrder}, {"duplicates", p.Duplicates}, {"poison", p.Poison}, {"late_profiles", p.LateProfiles}, {"skew", p.Skew},
	} {
		if !(share.value >= 0 && share.value <= 1) { // so that not-a-number is refused too
			return fmt.Errorf("disturb.%s is %v: it must be a share from 0 to 1", share.key, share.value)
		}
	}
	switch {
	case p.Late+p.OutOfOrder+p.Skew > 1:
		return errors.New("disturb.late, disturb.out_of_order and disturb.skew are more than 1 together: a line is one of them at most")
	case p.Late > 0 && p.Late+p.Skew >= 1:
		return errors.New("disturb.late and disturb.skew leave no line on time: there must be some for others to be late")
	case p.Lateness < time.Millisecond && (p.Late > 0 || p.LateProfiles > 0):
		return fmt.Errorf("disturb.lateness is %v: it must be at least 1ms where something is late", p.Lateness)
	case p.Displacement < 1 && p.OutOfOrder > 0:
		return fmt.Errorf("disturb.displacement is %d: it must be at least 1 where something is out of order", p.Displacement)
	case p.Displacement > maxHeld:
		return fmt.Errorf("disturb.displacement is %d: it must be at most %d events", p.Displacement, maxHeld)
	case p.Lateness < 0 || p.Displacement < 0:
		return errors.New("disturb.lateness and disturb.displacement must not be negative")
	}
	return nil
}

// any reports whether anything is disturbed.
func (p Params) any() bool {
	return p.Late > 0 || p.OutOfOrder > 0 || p.Duplicates > 0 || p.Poison > 0 || p.LateProfiles > 0 || p.Skew > 0 || p.Schema2
}

// describe adds what the events depend on, by the names of the settings.
func (p Params) describe(to map[string]string) {
	to["disturb.seed"] = strconv.FormatUint(p.Seed, 10)
	share := func(key string, value float64) {
		if value > 0 {
			to["disturb."+key] = strconv.FormatFloat(value, 'g', -1, 64)
		}
	}
	share("late", p.Late)
	share("out_of_order", p.OutOfOrder)
	share("duplicates", p.Duplicates)
	share("poison", p.Poison)
	share("late_profiles", p.LateProfiles)
	share("skew", p.Skew)
	if p.Late > 0 || p.LateProfiles > 0 {
		to["disturb.lateness"] = p.Lateness.String()
	}
	if p.OutOfOrder > 0 {
		to["disturb.displacement"] = strconv.FormatInt(p.Displacement, 10)
	}
}
