"""What functions are handed and what they may answer, one file for each payload format."""
