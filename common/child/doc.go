// Package child runs processes that never outlive this one.
//
// It imports none of the project's packages. Its invariant: a child dies with
// its parent, however the parent ends, and Stop leaves nothing of its process
// group behind.
package child
