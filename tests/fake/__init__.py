"""Generators of tiny fake data sets with the right names and folders; no image of a real one."""
