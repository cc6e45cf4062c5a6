//go:build !race

package integration

// underRace tells whether the race detector, which slows all down, is at work.
const underRace = false
