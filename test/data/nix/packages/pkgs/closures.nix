# References to whole closures, and to derivations as files.
{ stdenv, hello, zlib }:
stdenv.mkDerivation {
  name = "closures";
  deep = hello.drvPath;
  shallow = builtins.unsafeDiscardOutputDependency zlib.drvPath;
  forgotten = builtins.unsafeDiscardStringContext hello.outPath;
  all = zlib.all;
  note = builtins.toFile "note" "see ${../fix.patch} and ${builtins.toFile "other" "nothing"}";
}
