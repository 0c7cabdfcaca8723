package jobs_test
const victimTask = "X"
func runVictim(string) int { return 0 }
