"""Long work: what it leaves on disk, so that it can be watched, stopped at any moment and continued."""
