# A machine with twenty services and some users of our own.
{ config, lib, pkgs, ... }:
{
  imports = [ ./minimal.nix ];

  networking.hostName = "services";
  networking.firewall.allowedTCPPorts = [ 22 80 443 ];
  users.users = lib.genAttrs [ "anna" "berta" ] (name: {
    isNormalUser = true;
    description = "user ${name}";
    extraGroups = [ "wheel" ];
  });
  environment.systemPackages = [ pkgs.git pkgs.vim config.services.postgresql.package ];
  systemd.services.report = {
    wantedBy = [ "multi-user.target" ];
    after = [ "postgresql.service" ];
    path = [ pkgs.curl ];
    script = "curl --silent http://localhost/status";
    serviceConfig.Type = "oneshot";
  };

  services = {
    avahi.enable = true;
    chrony.enable = true;
    cron = {
      enable = true;
      systemCronJobs = [ "0 4 * * * root ${pkgs.coreutils}/bin/true" ];
    };
    dnsmasq.enable = true;
    dovecot2.enable = true;
    fail2ban.enable = true;
    fstrim.enable = true;
    grafana.enable = true;
    logrotate.enable = true;
    memcached.enable = true;
    mosquitto = {
      enable = true;
      users = { };
    };
    nginx = {
      enable = true;
      virtualHosts = lib.listToAttrs (map (n: lib.nameValuePair "host${toString n}.example" {
        locations."/".proxyPass = "http://localhost:${toString (8000 + n)}";
      }) (lib.range 1 5));
    };
    openssh.enable = true;
    postfix.enable = true;
    postgresql = {
      enable = true;
      ensureDatabases = [ "grafana" ];
    };
    prometheus = {
      enable = true;
      exporters.node.enable = true;
      scrapeConfigs = [
        {
          job_name = "node";
          static_configs = [ { targets = [ "localhost:9100" ]; } ];
        }
      ];
    };
    redis.enable = true;
    rsyncd.enable = true;
    samba.enable = true;
    syncthing.enable = true;
    tor.enable = true;
    unbound.enable = true;
  };
}
