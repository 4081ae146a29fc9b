"""What both sides must know."""

#: The list in Redis to which punctual() of ``jobs.py`` adds its lateness.
STARTS = "benchmark:starts"
