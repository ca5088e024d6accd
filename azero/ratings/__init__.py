"""Elo ratings of many players from the matches between them.

model.py    the Bradley-Terry model over pair scores, and bootstrap intervals
entrants.py players' names that stay the same, and who meets whom
ledger.py   the matches that were played, kept in a file, and the playing of those that are missing
pages.py    a table, a CSV file and a plot of it
"""
