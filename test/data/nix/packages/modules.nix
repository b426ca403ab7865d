# Options, definitions and conditions, merged lazily into one system.
{ pkgs, modules ? [ ] }:
let
  inherit (pkgs) lib;
  mkIf = condition: content: { _type = "if"; inherit condition content; };
  mkForce = content: { _type = "force"; inherit content; };
  discharge = value:
    if value._type or "" == "if" then (if value.condition then discharge value.content else [ ]) else [ value ];
  merge = definitions:
    let
      forced = builtins.filter (value: value._type or "" == "force") definitions;
      values = if forced == [ ] then definitions else map (value: value.content) forced;
      first = builtins.head values;
    in
    if builtins.isList first then builtins.concatLists values
    else if builtins.isAttrs first && !(first ? outPath) then
      builtins.zipAttrsWith (_: parts: merge (builtins.concatMap discharge parts)) values
    else if builtins.length values == 1 then first
    else throw "defined more than once";

  services = { config, ... }: {
    units.web = mkIf config.services.web.enable
      "[Service]\nExecStart=${config.services.web.package}/bin/web --port ${toString config.services.web.port}";
    etc = mkIf config.services.web.enable { "web.conf" = "port = ${toString config.services.web.port}"; };
    packages = lib.optional config.services.web.enable config.services.web.package;
  };
  defaults = { ... }: {
    services.web = { enable = true; port = 80; package = pkgs.hello; };
    packages = [ pkgs.zlib ];
    etc.hostname = "machine";
  };
  local = { ... }: { services.web.port = mkForce 8080; packages = [ pkgs.structured.doc ]; };

  config = lib.fix (self: merge (builtins.concatMap (module: discharge (module { config = self; })) ([ services defaults local ] ++ modules)));
  etc = pkgs.symlinkJoin "etc" (lib.mapAttrsToList pkgs.writeText config.etc);
in {
  inherit config;
  system = pkgs.stdenv.mkDerivation {
    name = "system";
    inherit etc;
    path = pkgs.symlinkJoin "system-path" config.packages;
    units = builtins.toJSON config.units;
  };
}
