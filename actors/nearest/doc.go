// Package nearest finds the name that somebody probably meant, for errors that
// say "did you mean". Names are strategies, configuration keys, commands: short
// words out of a short list.
//
// Stability: internal.
package nearest
