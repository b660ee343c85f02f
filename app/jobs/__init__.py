"""The middle: jobs, what they may be asked for, what became of them, and the events that tell of it."""
