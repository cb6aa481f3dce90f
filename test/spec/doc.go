// Package spec holds a test for each sentence that Understudy promises. Sentences
// are those of the acceptance list, with its numbers, and each test quotes its own
// word for word.
//
// A test sees what a user sees: the root package, and messages. Where time matters
// it runs in a bubble of testing/synctest, where a minute passes at once and
// 10 s are 10 s exactly; sockets do not work there, so endpoints are functions.
// Where time does not matter, endpoints are servers.
//
// What is not built yet has no test here: a promise is added with its feature.
package spec
