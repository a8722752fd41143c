"""What a company has already, read from where it is: with its source, and a report of what was skipped and why."""
