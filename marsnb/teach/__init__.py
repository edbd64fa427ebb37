"""What notebooks 02, 03, 04, 11 and 12 check with: typed answers, and functions that the reader writes."""
