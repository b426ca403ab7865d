{ stdenv }:
stdenv.mkDerivation {
  name = "sources";
  whole = ../source;
  filtered = builtins.filterSource (path: type: type == "directory" || baseNameOf path != "unwanted") ../source;
  renamed = builtins.path { path = ../source; name = "renamed"; filter = path: _: baseNameOf path != "docs"; };
  flat = builtins.path { path = ../source/wanted; name = "flat"; recursive = false; };
  text = builtins.readFile ../source/wanted;
}
