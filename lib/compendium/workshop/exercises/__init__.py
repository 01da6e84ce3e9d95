"""What each exercise checks, one file an exercise: the inputs, the library's answer, and a hint."""
