# The graphical installer.
{ modulesPath, ... }:
{
  imports = [ "${modulesPath}/installer/cd-dvd/installation-cd-graphical-plasma5.nix" ];
}
