//go:build !race

package importers

const raceDetector = false
