"""The way from sandboxes to the outside: address pool, links, firewall, and the rootless network.

Owns: the installation's nftables table, reserved prefixes, link names. Never: lets a packet out without the rules.
"""
