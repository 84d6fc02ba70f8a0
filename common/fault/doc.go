// Package fault holds named crash points and planted bugs, off unless asked for.
//
// It imports none of the project's packages. Its invariant: a nil *Set does
// nothing and costs a comparison, so production code may call it anywhere.
package fault
