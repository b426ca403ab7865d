# A standard environment in stages: fetched tools build a compiler, which builds the rest.
{ lib, build, host, setup }:
let
  fetchTools = name: hash: import <nix/fetchurl.nix> {
    url = "https://example.org/bootstrap/${build.system}/${name}";
    ${if builtins.stringLength hash == 64 then "sha256" else "hash"} = hash;
    executable = name == "busybox";
  };
  busybox = fetchTools "busybox" "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
  archive = fetchTools "tools.tar.xz" "0000000000000000000000000000000000000000000000000000000000000001";

  tools = derivation {
    name = "bootstrap-tools";
    builder = busybox;
    args = [ "ash" "-e" ./unpack.sh ];
    inherit (build) system;
    tarball = archive;
    langs = [ "c" "c++" ];
  };

  make = { name, shell, path, platform }@stage:
    let
      self = derivation {
        inherit name;
        inherit (build) system;
        builder = shell;
        args = [ "-c" "echo $initialPath > $out" ];
        initialPath = path;
        inherit setup;
        target = platform.config;
      };
    in self // { inherit stage; mkDerivation = mkDerivation self stage; };

  mkDerivation = stdenv: stage: arguments:
    let
      own = builtins.removeAttrs arguments [ "meta" "passthru" "pname" "version" "env" ];
      name = arguments.name or "${arguments.pname}-${arguments.version}"
        + (if host.system == build.system || stage.platform == build then "" else "-${stage.platform.config}");
      drv = derivation ({
        inherit (build) system;
        builder = stage.shell;
        args = [ "-e" (arguments.builder or ./builder.sh) ];
        inherit stdenv;
        buildInputs = map (input: input.dev or input) (arguments.buildInputs or [ ]);
        propagatedBuildInputs = lib.unique (arguments.propagatedBuildInputs or [ ]);
        doCheck = arguments.doCheck or (stage.platform == build);
        strictDeps = 1;
        configureFlags = (arguments.configureFlags or [ ])
          ++ lib.optional (stage.platform != build) "--host=${stage.platform.config}";
      } // builtins.removeAttrs own [ "buildInputs" "propagatedBuildInputs" "doCheck" "configureFlags" "builder" ]
        // (arguments.env or { }) // { inherit name; });
    in drv // {
      meta = { description = ""; available = true; } // (arguments.meta or { });
      overrideAttrs = change: mkDerivation stdenv stage (arguments // change arguments);
    } // (arguments.passthru or { });

  stage0 = make { name = "bootstrap-stage0"; shell = "${tools}/bin/sh"; path = [ tools ]; platform = build; };
  shell = stage0.mkDerivation { pname = "shell"; version = "5.1"; src = archive; passthru.path = "/bin/sh"; };
  compiler = stage0.mkDerivation {
    pname = "compiler";
    version = "10.2";
    outputs = [ "out" "lib" "info" ];
    buildInputs = [ shell ];
    NIX_CFLAGS_COMPILE = "-B${shell}/lib";
  };
  stage1 = make {
    name = "stdenv";
    shell = "${shell}${shell.path}";
    path = [ shell compiler compiler.lib ];
    platform = build;
  };
  cross = stage1.mkDerivation {
    pname = "compiler-${host.config}";
    version = "10.2";
    outputs = [ "out" "lib" ];
    buildInputs = [ compiler ];
    targetPrefix = "${host.config}-";
  };
  stage2 = make {
    name = "stdenv-cross";
    shell = "${shell}${shell.path}";
    path = [ shell compiler cross cross.lib ];
    platform = host;
  };
in {
  inherit tools shell compiler;
  native = stage1;
  stdenv = if host.system == build.system then stage1 else stage2;
}
