{ here = ./.; file = ./x; pos = __curPos; }
