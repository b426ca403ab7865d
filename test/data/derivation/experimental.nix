# Derivations whose outputs or inputs are known only once something is built.
let
  system = "x86_64-linux";
  builder = "/bin/sh";
  make = attributes: derivation ({ inherit system builder; } // attributes);
  floating = make {
    name = "floating";
    __contentAddressed = true;
    outputHashMode = "recursive";
    outputHashAlgo = "sha256";
    outputs = [ "out" "dev" ];
  };
  user = make { name = "user"; x = floating; y = floating.dev; };
  producer = make {
    name = "producer.drv";
    __contentAddressed = true;
    outputHashMode = "text";
    outputHashAlgo = "sha256";
  };
  inherit (builtins) outputOf;
in
{
  inherit floating user producer;
  usersUser = make { name = "users-user"; x = user; };
  impure = make {
    name = "impure";
    __impure = true;
    outputHashMode = "recursive";
    outputHashAlgo = "sha256";
  };
  dynamic = make {
    name = "dynamic";
    x = outputOf producer.outPath "out";
    y = producer;
    z = outputOf producer.outPath "dev";
    w = outputOf (outputOf producer.outPath "dev") "doc";
  };
  text = make {
    name = "text";
    outputHashMode = "text";
    outputHashAlgo = "sha256";
    outputHash = "0000000000000000000000000000000000000000000000000000";
  };
  git = make {
    name = "git";
    outputHashMode = "git";
    outputHashAlgo = "sha1";
    outputHash = "0000000000000000000000000000000000000000";
  };
}
