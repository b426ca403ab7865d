# Store objects of every kind that a cache describes differently: texts with and without references, a built output
# with a deriver, two outputs that mention each other, and fixed outputs.
let
  text = builtins.toFile "text" "some text\n";
  build = name: script: extra: derivation ({
    inherit name;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" script ];
  } // extra);
in
[
  text
  (builtins.toFile "referring" "see ${text}\n")
  (build "built" "echo ${text} > $out" { })
  (build "self" "echo $out > $out" { })
  (build "flat" "echo hello > $out" {
    outputHashAlgo = "sha256";
    outputHash = builtins.hashString "sha256" "hello\n";
  })
  (build "flat-sha1" "echo hello > $out" {
    outputHashAlgo = "sha1";
    outputHash = builtins.hashString "sha1" "hello\n";
  })
]
