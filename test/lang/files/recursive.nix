let self = import ./recursive.nix; in { a = 1; again = self; }
