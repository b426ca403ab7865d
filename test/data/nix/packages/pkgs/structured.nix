{ stdenv, hello, zlib, writeText }:
stdenv.mkDerivation {
  name = "structured";
  __structuredAttrs = true;
  outputs = [ "out" "doc" ];
  nested = { list = [ 1 "two" { three = null; } ]; text = "a\"b\\c\n\tü"; inherit zlib; file = ../fix.patch; };
  exportReferencesGraph.graph = [ hello zlib.dev ];
  outputChecks.out = { allowedReferences = [ ]; maxSize = 1024; };
  unset = null;
  __ignoreNulls = true;
  script = writeText "script" "echo ${zlib.dev} ${hello}";
}
