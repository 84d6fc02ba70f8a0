package stream

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/zeebo/xxh3"
)

// A sketch estimates how many customers a set holds, from registers that only
// grow (HyperLogLog): it depends on the set alone, neither on the order nor on how
// the set was put together. It lies in a table as rows of 32 registers, so it is
// stored, cut and merged as every other partial is.
const (
	// sketchBits gives 2^14 registers: a standard error of 1.04/√2^14 = 0.81 %.
	sketchBits     = 14
	sketchSize     = 1 << sketchBits
	blockRegisters = 32
	// maxRank is the greatest value of a register.
	maxRank = 64 - sketchBits + 1
)

// block is the part of a country's sketch that one row holds.
type block struct {
	country string
	number  int64
}

// observe adds a customer to the sketch of a window and country.
func observe(t *table[block], window int64, country string, customer int64) {
	number, word, shift, rank := register(customer)
	c, _ := t.cell(window, block{country, number})
	if held := c.values[word] >> shift & 0xff; held >= rank {
		return
	}
	t.note(window, block{country, number}, c)
	c.values[word] = c.values[word]&^(0xff<<shift) | rank<<shift
}

// register is where a customer counts, and the rank it has there.
func register(customer int64) (number int64, word, shift int, rank int64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(customer))
	hash := xxh3.Hash(b[:])
	at := hash >> (64 - sketchBits)
	rank = int64(bits.LeadingZeros64(hash<<sketchBits|1<<(sketchBits-1))) + 1
	within := int(at % blockRegisters)
	return int64(at / blockRegisters), within / 8, within % 8 * 8, rank
}

// mergeBlock adds the registers of a row to the block that the table holds.
func mergeBlock(t *table[block], window int64, key block, v values) {
	c, isNew := t.cell(window, key)
	merged := c.values
	for i := range merged {
		merged[i] = greaterBytes(merged[i], v[i])
	}
	if isNew || merged != c.values {
		t.note(window, key, c)
		c.values = merged
	}
}

// greaterBytes takes the greater of each pair of bytes.
func greaterBytes(a, b int64) (out int64) {
	for shift := 0; shift < 64; shift += 8 {
		out |= max(a>>shift&0xff, b>>shift&0xff) << shift
	}
	return out
}

// ranks counts a sketch's registers by their value.
type ranks [maxRank + 1]int64

func (r *ranks) add(v values) {
	for _, word := range v {
		for shift := 0; shift < 64; shift += 8 {
			r[word>>shift&0xff]++
		}
	}
}

// estimate is the improved estimator of O. Ertl, "New cardinality estimation
// algorithms for HyperLogLog sketches" (2017), algorithm 6: good over the whole
// range without tables of corrections. Registers that no row holds are 0.
func (r ranks) estimate() int64 {
	const m = float64(sketchSize)
	const q = maxRank - 1
	held := int64(0)
	for _, n := range r {
		held += n
	}
	r[0] += sketchSize - held
	z := m * tau(1-float64(r[q+1])/m)
	for k := q; k >= 1; k-- {
		z = 0.5 * (z + float64(r[k]))
	}
	z += m * sigma(float64(r[0])/m)
	return int64(math.Round(m * m / (2 * math.Ln2 * z)))
}

func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1) // no customer: the estimate is 0
	}
	for y, z := 1.0, x; ; {
		x *= x
		before := z
		z += x * y
		y += y
		if z == before {
			return z
		}
	}
}

func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	for y, z := 1.0, 1-x; ; {
		x = math.Sqrt(x)
		before := z
		y *= 0.5
		z -= (1 - x) * (1 - x) * y
		if z == before {
			return z / 3
		}
	}
}
