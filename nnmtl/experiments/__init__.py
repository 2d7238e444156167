"""What combines the rooms: whole evaluations, demonstrations and comparisons."""
