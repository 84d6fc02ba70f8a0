// Package logtest is the one suite that every back end of eventlog passes.
//
// It may import eventlog. Its invariant: no case knows which back end it runs on.
package logtest
