//go:build race

package importers

// raceDetector: its own memory is larger than any limit on ours.
const raceDetector = true
