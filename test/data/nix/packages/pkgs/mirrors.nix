# Two sources that are one: they differ in where they come from, not in what they are.
{ stdenv, fetchurl }:
let from = host: fetchurl {
  url = "https://${host}.example.org/data";
  name = "data";
  sha256 = "1111111111111111111111111111111111111111111111111111";
  recursive = true;
};
in stdenv.mkDerivation { name = "mirrors"; first = from "a"; second = from "b"; both = "${from "a"}:${from "b"}"; }
