# A small package set in the manner of nixpkgs: a fixed point of overlays over a bootstrapped environment.
{ system ? "x86_64-linux", crossSystem ? system, overlays ? [ ], config ? { } }:
let
  lib = import ./lib.nix;
  build = lib.platform system;
  host = lib.platform crossSystem;
  bootstrap = import ./stdenv.nix { inherit lib build host; setup = ./setup.sh; };

  base = final: {
    inherit lib config;
    inherit (bootstrap) stdenv shell compiler;
    callPackage = lib.callWith final;
    buildPackages = if system == crossSystem then final else import ./. { inherit system overlays config; };
    fetchurl = { url, sha256, name ? baseNameOf url, recursive ? false }: derivation {
      inherit name url system;
      builder = "${bootstrap.shell}/bin/fetch";
      outputHash = sha256;
      outputHashAlgo = "sha256";
      outputHashMode = if recursive then "recursive" else "flat";
      impureEnvVars = [ "http_proxy" "https_proxy" ];
      preferLocalBuild = true;
    };
    writeText = name: text: final.stdenv.mkDerivation { inherit name text; passAsFile = [ "text" ]; };
    symlinkJoin = name: paths: final.stdenv.mkDerivation { inherit name; paths = lib.unique paths; };
    system-toplevel = (import ./modules.nix { pkgs = final; }).system;
  };
  packages = final: prev: builtins.listToAttrs (map (file: {
    name = builtins.head (builtins.match "(.*)\\.nix" file);
    value = final.callPackage (./pkgs + "/${file}") { };
  }) (builtins.attrNames (builtins.readDir ./pkgs)));
in lib.fix (lib.compose base ([ packages ] ++ overlays))
