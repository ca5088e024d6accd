"""A model of the game learned from play, in place of its rules.

Schrittwieser et al.: Mastering Atari, Go, chess and shogi by planning with a learned model (2020).
"""
