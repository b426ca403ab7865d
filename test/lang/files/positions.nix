let
  a = 1;
  s = {
    a = 1;
    b = 2;
  };
  at =
    set:
    let
      place = builtins.unsafeGetAttrPos "a" set;
    in
    if place == null then null else "${toString place.line}:${toString place.column}";
in
map at [
  s
  (builtins.mapAttrs (n: v: v) s)
  (builtins.listToAttrs [
    {
      name = "a";
      value = 1;
    }
    {
      value = 2;
      name = "b";
    }
  ])
  (builtins.listToAttrs (
    map
      (name: {
        inherit name;
        value = 1;
      })
      [
        "b"
        "a"
      ]
  ))
  (removeAttrs s [ "b" ])
  (builtins.intersectAttrs { a = 1; } s)
  (builtins.zipAttrsWith (n: v: v) [ s ])
  (builtins.groupBy (x: "a") [ 1 ])
  (s // { b = 3; })
  ({ a = 1; } // s)
  { inherit (s) a; }
  { inherit a; }
  rec { a = 2; }
  { ${"a"} = 1; }
  { a.b = 1; }
  (builtins.functionArgs ({ a, b }: 1))
  (builtins.fromJSON ''{"a":1}'')
  (with s; { inherit a; })
]
