"""The walk of a study from parameters to report, resumable at every step."""
