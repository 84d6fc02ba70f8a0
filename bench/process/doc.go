// Package process runs one architecture as a process of its own and watches
// what it uses.
//
// It may import common. Its invariant: the process ends with the harness, and
// its figures are its own: processor time and memory from the kernel's accounts.
package process
