// Package durable writes files that survive a crash: replaced atomically, with
// a kind, a format version and a checksum that are checked on reading.
//
// It imports none of the project's packages. Its invariant: a reader sees the
// old content or the new content, whole, or an error that names the file and
// says what to do; never a mixture and never a torn file taken for good.
package durable
