// Package transport says what the error of an attempt means, whoever made it: a
// transport of ours, or a user's function that dialed by itself.
//
// [Classify] gives the outcome that counts for or against the endpoint,
// [Unsent] whether a repetition is safe whatever the request, and [Words] what a
// person may read. All three look through wrapped and joined errors, and none
// keeps state.
//
// The rule beneath: an endpoint answers for what it did. That nobody could
// connect, that it hung up or kept silent speaks against it. That the caller
// left, that this process ran out of something, or that a call inside this one
// failed at another service does not.
//
// The folders beneath say how an attempt reaches an endpoint. This package is not
// stable API.
package transport
