"""Real beats and workers under a storm of kills, freezes, crashes and lost messages, and an oracle that judges them.

``python -m tests.chaos --help``; ``python -m tests.chaos.planted`` shows that it sees the bugs it is there to see.
"""
