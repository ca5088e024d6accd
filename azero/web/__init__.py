"""The page that people play and look on: a server that keeps no games, and static files for the browser."""
