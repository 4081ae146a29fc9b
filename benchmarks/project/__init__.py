"""The Django project that is measured, and the job of each peer. Runs in the processes that are measured."""
