# The few functions that the set is made with.
rec {
  fix = f: let x = f x; in x;
  extends = overlay: f: final: let prev = f final; in prev // overlay final prev;
  compose = builtins.foldl' (f: overlay: extends overlay f);
  optional = condition: value: if condition then [ value ] else [ ];
  optionalAttrs = condition: set: if condition then set else { };
  concatMapStringsSep = separator: f: list: builtins.concatStringsSep separator (map f list);
  unique = builtins.foldl' (seen: x: if builtins.elem x seen then seen else seen ++ [ x ]) [ ];
  mapAttrsToList = f: set: map (name: f name set.${name}) (builtins.attrNames set);
  filterAttrs = keep: set:
    builtins.removeAttrs set (builtins.filter (name: !keep name set.${name}) (builtins.attrNames set));

  # Functions whose result can be made again with other arguments or other attributes.
  overridable = f: arguments:
    let result = f arguments;
    in result // {
      override = new: overridable f (arguments // (if builtins.isFunction new then new arguments else new));
    } // optionalAttrs (result ? overrideAttrs) {
      overrideAttrs = change: overridable (given: (f given).overrideAttrs change) arguments;
    };

  callWith = set: file: arguments:
    let
      f = if builtins.isFunction file then file else import file;
      wanted = builtins.functionArgs f;
    in overridable f (builtins.intersectAttrs wanted set // arguments);

  platform = system:
    let parts = builtins.match "([^-]+)-(.+)" system;
    in {
      inherit system;
      cpu = builtins.head parts;
      kernel = builtins.elemAt parts 1;
      config = "${builtins.head parts}-unknown-${builtins.elemAt parts 1}-gnu";
    };
}
