// Package hlog writes and reads histograms as HDR logs (V2), the format that the
// HdrHistogram tools of any language read.
//
// It imports none of the project's packages.
package hlog
