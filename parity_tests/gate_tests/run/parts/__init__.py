"""Parts of a run, their reports, records of interrupted runs, and workers on other hosts."""
