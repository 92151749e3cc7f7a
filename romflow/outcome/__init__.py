"""What a finished model is worth: validation on parameters it never saw, the summary, and what a report draws."""
