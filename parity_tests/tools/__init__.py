"""Commands for maintainers: recording answers, measuring speed."""
