package draws

import "math/bits"

// Draws are the random numbers that belong to one thing.
type Draws struct{ seed, thing uint64 }

// For returns the draws of a thing.
func For(seed, thing uint64) Draws { return Draws{seed, thing} }

// at is splitmix64's finalizer over the three (Steele, Lea, Flood 2014).
func (d Draws) at(n uint64) uint64 {
	z := d.seed*0x9e3779b97f4a7c15 + d.thing*0xbf58476d1ce4e5b9 + (n+1)*0x94d049bb133111eb
	for range 2 {
		z += 0x9e3779b97f4a7c15
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		z ^= z >> 31
	}
	return z
}

// Below makes draw n an integer in [0, limit).
func (d Draws) Below(n uint64, limit int64) int64 {
	hi, _ := bits.Mul64(d.at(n), uint64(limit))
	return int64(hi)
}

// Chance makes draw n a yes or no, yes in so many cases of so many.
func (d Draws) Chance(n uint64, in, of int64) bool { return d.Below(n, of) < in }

// Unit makes draw n a number in [0, 1).
func (d Draws) Unit(n uint64) float64 { return float64(d.at(n)>>11) / (1 << 53) }
