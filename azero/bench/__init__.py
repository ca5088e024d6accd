"""How fast: search and self-play beside their peers, strength against time, and the floor that the machine sets."""
