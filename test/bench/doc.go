// Command bench runs Understudy and what people would use instead in one process
// and one run, so that the machine's mood cancels out, and prints a line for each
// budget of the design:
//
//	ratio <name> <value> budget <budget>
//
// A value is the time that Understudy takes for a request over the time that the
// peer takes, the median of interleaved rounds; allocations are counted as they
// are. It exits 1 when a value is over its budget. It is a module of its own, so
// that nobody who uses Understudy gets its peers.
package main
