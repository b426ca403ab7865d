value + 1
