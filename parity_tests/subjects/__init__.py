"""What is judged: loaded, recognised, and called, in this process or in a sandbox."""
