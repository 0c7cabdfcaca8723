//go:build race

package apart

// raceDetector: its own memory is larger than any limit on ours.
const raceDetector = true
