# Derivations of every kind that needs no experimental feature; the names tell what each is for.
let
  system = "x86_64-linux";
  builder = "/bin/sh";
  make = attributes: derivation ({ inherit system builder; } // attributes);
  zeros = "0000000000000000000000000000000000000000000000000000";
  simple = make { name = "simple"; args = [ "-c" "echo \"hi\" > $out" ]; };
  source = url: make {
    name = "src";
    inherit url;
    outputHashMode = "flat";
    outputHashAlgo = "sha256";
    outputHash = zeros;
  };
  m = make { name = "m"; outputs = [ "out" "lib" ]; };
in
{
  inherit simple m;
  multi = make {
    name = "multi";
    outputs = [ "dev" "out" "a" ];
    t = "tab\tnl\ncr\rq\"b\\d$é";
  };
  fodflat = make {
    name = "fodflat";
    outputHashMode = "flat";
    outputHashAlgo = "sha256";
    outputHash = zeros;
  };
  fodrec = make {
    name = "fodrec";
    outputHashMode = "recursive";
    outputHash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
  };
  fodsha1 = make {
    name = "fodsha1";
    outputHashMode = "recursive";
    outputHashAlgo = "sha1";
    outputHash = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
  };
  # Two sources with one modulo hash are one input; the derivation of m is an input and a source.
  user = make {
    name = "user";
    a = source "one";
    b = source "two";
    l = m.lib;
    o = m;
    txt = builtins.toFile "t" "x";
    drv = builtins.unsafeDiscardOutputDependency m.drvPath;
  };
  deep = make { name = "deep"; d = simple.drvPath; };
  n = derivation { system = "s"; builder = "b"; name = "n"; };
  # Keys that need escaping, keys that sort differently as bytes and as UTF-16, bytes that are no text.
  keys = make {
    name = "keys";
    "quote\"back\\slash" = "1";
    "\n" = "2";
    "ｚ" = "3";
    "𐀀" = "4";
    "É" = "5";
    "" = "6";
    Z = "7";
    _ = "8";
  };
  structured = make {
    name = "structured";
    __structuredAttrs = true;
    outputs = [ "out" "dev" ];
    list = [ 1 true null "x\ny" { } ];
    inner.key = "/é\"";
    dependency = simple;
  };
}
