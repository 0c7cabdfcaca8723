package jobs

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"payrun/internal/database"
)

// Why tells, oldest first, how the last runs of a job went, and at the end
// what it waits for now: one sentence each. Times are written by at.
func Why(ctx context.Context, db *database.DB, job string, at func(database.Instant) string) ([]string, error) {
	statuses, err := JobStatuses(ctx, db)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(statuses, func(s JobStatus) bool { return s.Job == job })
	if i < 0 {
		return nil, fmt.Errorf("job %s: %w: it was never scheduled here; payrun serve and payrun work do that", job, database.ErrNotFound)
	}
	const most = 10
	var runs []JobRun
	err = db.Select(ctx, &runs, fmt.Sprintf("SELECT %s FROM job_runs WHERE job = ? ORDER BY due_at DESC LIMIT %d", runColumns, most), job)
	if err != nil {
		return nil, fmt.Errorf("read the runs of %s: %w", job, err)
	}
	slices.Reverse(runs)
	workers, err := Workers(ctx, db)
	if err != nil {
		return nil, err
	}
	now, err := db.Now(ctx)
	if err != nil {
		return nil, err
	}
	var sentences []string
	for _, run := range runs {
		sentences = append(sentences, run.sentence(now, at))
	}
	return append(sentences, statuses[i].sentence(now, workers, at)), nil
}

// sentence tells one run.
func (r JobRun) sentence(now database.Instant, at func(database.Instant) string) string {
	if r.Outcome == "skipped" {
		return fmt.Sprintf("Due at %s, skipped: %s.", at(r.DueAt), r.Detail)
	}
	var text strings.Builder
	late := r.StartedAt.Sub(r.DueAt)
	switch {
	case r.Tries > 1:
		fmt.Fprintf(&text, "Ran again at %s on %s, since the run before was lost", at(r.StartedAt), r.Worker)
	case late > lateAfter:
		fmt.Fprintf(&text, "Due at %s, but for %s nobody was there to run it; ran at %s on %s", at(r.DueAt), rough(late), at(r.StartedAt), r.Worker)
	default:
		fmt.Fprintf(&text, "Ran at %s on %s", at(r.StartedAt), r.Worker)
	}
	took := rough(r.FinishedAt.Sub(r.StartedAt))
	switch r.Outcome {
	case "":
		if r.LeaseUntil < now {
			return text.String() + "; nothing was heard of it since, so it counts as lost."
		}
		return text.String() + ", and still runs."
	case "lost":
		return fmt.Sprintf("%s: lost, %s.", text.String(), r.Detail)
	case "failed":
		return fmt.Sprintf("%s: failed after %s: %s.", text.String(), took, r.Detail)
	}
	if r.Detail == "" {
		return fmt.Sprintf("%s: done in %s.", text.String(), took)
	}
	return fmt.Sprintf("%s: done in %s: %s.", text.String(), took, r.Detail)
}

// sentence tells what the job waits for.
func (s JobStatus) sentence(now database.Instant, workers []Worker, at func(database.Instant) string) string {
	there := slices.ContainsFunc(workers, func(w Worker) bool { return !w.Silent })
	alive := s.Last != nil && s.Last.Outcome == "" && s.Last.LeaseUntil >= now
	overdue := now.Sub(s.NextDueAt) > lateAfter
	switch {
	case alive && overdue:
		return fmt.Sprintf("Due again since %s: it waits for the run that began at %s on %s.", at(s.NextDueAt), at(s.Last.StartedAt), s.Last.Worker)
	case overdue && !there:
		return fmt.Sprintf("Due since %s, but no process runs the schedule: start payrun serve or payrun work.", at(s.NextDueAt))
	case overdue:
		return fmt.Sprintf("Due since %s: none of the processes that are there has this job in its settings, or the store did not answer them.", at(s.NextDueAt))
	case !there:
		return fmt.Sprintf("Due next at %s, but no process runs the schedule now: start payrun serve or payrun work.", at(s.NextDueAt))
	}
	return fmt.Sprintf("Due next at %s.", at(s.NextDueAt))
}

func rough(d time.Duration) string {
	if d >= time.Minute {
		return d.Round(time.Second).String()
	}
	return d.Round(time.Millisecond).String()
}
