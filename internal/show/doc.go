// Package show says things to people in a terminal: tables, what state an
// endpoint is in and why, what happened.
package show
