"""The middle: jobs, what they are asked for, what became of them, and how that is told."""
