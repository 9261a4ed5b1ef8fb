"""aiemp's schedule beside APScheduler's, in one run."""
