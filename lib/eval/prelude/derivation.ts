// `derivation`: a built-in function written in Nix, over the primitive `derivationStrict`.

/**
 * The set that stands for a derivation has the attributes it was made from, one attribute per output, and `all`. Each
 * output is such a set again, so that `drv.dev.out` works; the derivation itself is its first output. Nothing is
 * hashed before some `outPath` or `drvPath` is asked for.
 */
export const DERIVATION_SOURCE = `
arguments@{ outputs ? [ "out" ], ... }:
let
  computed = derivationStrict arguments;
  shared = arguments // byName // { all = builtins.map (entry: entry.value) entries; drvAttrs = arguments; };
  byName = builtins.listToAttrs entries;
  entries = builtins.map (name: {
    inherit name;
    value = shared // {
      outPath = builtins.getAttr name computed;
      drvPath = computed.drvPath;
      type = "derivation";
      outputName = name;
    };
  }) outputs;
in (builtins.head entries).value
`;
