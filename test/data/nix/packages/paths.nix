# What is compared: the paths of everything, in several forms of the set.
let
  paths = drv: { inherit (drv) drvPath; } // builtins.listToAttrs (map (output: {
    name = output;
    value = drv.${output}.outPath;
  }) (drv.outputs or [ "out" ]));
  names = [ "shell" "compiler" "stdenv" "zlib" "hello" "structured" "mirrors" "closures" "sources" "system-toplevel" ];
  all = pkgs: builtins.listToAttrs (map (name: { inherit name; value = paths pkgs.${name}; }) names);
  pkgs = import ./. { };
  overlay = final: prev: {
    zlib = prev.zlib.override { shared = false; };
    hello = (prev.hello.override (old: { gettext = null; })).overrideAttrs (old: { version = "2.11"; });
    extra = final.symlinkJoin "extra" [ final.hello final.zlib final.hello ];
  };
  overlaid = import ./. { overlays = [ overlay (final: prev: { compiler = prev.compiler // { lib = prev.zlib; }; }) ]; };
in {
  native = all pkgs;
  cross = all (import ./. { crossSystem = "aarch64-linux"; });
  darwin = all (import ./. { system = "x86_64-darwin"; config.check = false; });
  overlaid = all overlaid // { extra = paths overlaid.extra; };
  override = paths (pkgs.hello.override { zlib = pkgs.zlib.override { shared = false; }; });
  module = paths (import ./modules.nix {
    inherit pkgs;
    modules = [ ({ config, ... }: { etc.motd = "port ${toString config.services.web.port}"; }) ];
  }).system;
}
