// Package onlineretail reads the UCI Online Retail data, or any CSV file with
// its header, as a source of order lines.
//
// It may import workloads and common. Its invariant: lines keep the file's
// order, amounts are exact, and a damaged line ends the reading with its number.
package onlineretail
