"""Rows and messages of earlier versions, given to the present one.

Each version has a folder here, which ``python -m tests.upgrade.write`` made when that version was the present one: the
rows of its database in every status and shape, each with what is to become of it, its messages as they were with the
broker, and what its processes read. What is released is never written again.
"""
