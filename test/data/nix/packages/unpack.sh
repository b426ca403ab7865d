$builder tar -xf $tarball -C $out
