"""The definitions of the operations, in float64 NumPy.

Every decision compares numbers that belong to one pair of rows alone (see `pairs`): equal rows get equal values, ties
go to the lowest index, and the bytes do not depend on blocks or on the number of threads.
"""
