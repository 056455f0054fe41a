"""Between the log and the workers: jobs, wishes, reports, weights."""
