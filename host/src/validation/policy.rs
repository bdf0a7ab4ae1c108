//! [`AddressPolicy`]: which addresses a validator may dial. Does no I/O.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Public addresses, and what the operator adds, less what the operator takes away.
#[derive(Clone, Debug, Default)]
pub(super) struct AddressPolicy {
    allow: Vec<IpNet>,
    deny: Vec<IpNet>,
}

impl AddressPolicy {
    pub(super) fn new(allow: Vec<IpNet>, deny: Vec<IpNet>) -> Self {
        Self { allow, deny }
    }

    /// May this address be dialled?
    pub(super) fn permits(&self, address: IpAddr) -> bool {
        // ::ffff:a.b.c.d reaches the IPv4 host a.b.c.d, so it is judged as that.
        let address = address.to_canonical();
        if is_undialable(address) || contains(&self.deny, address) {
            return false;
        }
        if contains(&self.allow, address) {
            return true;
        }
        match address {
            IpAddr::V4(v4) => is_public_v4(v4),
            IpAddr::V6(v6) => match nat64_target(v6) {
                // RFC 6052 §3.1: the well-known prefix must not stand for an address that is not
                // global. What `allow` opens for IPv4 it does not open through a translator.
                Some(v4) => is_public_v4(v4) && !contains(&self.deny, IpAddr::V4(v4)),
                None => is_public_v6(v6),
            },
        }
    }
}

fn contains(ranges: &[IpNet], address: IpAddr) -> bool {
    ranges.iter().any(|range| match (range, address) {
        // The operator may have written an IPv4 range as ::ffff:a.b.c.d/n.
        (IpNet::V6(net), IpAddr::V4(v4)) => net.contains(&v4.to_ipv6_mapped()),
        _ => range.contains(&address),
    })
}

/// Addresses that no `allow` opens: 0.0.0.0/8 and :: reach this machine whatever `deny` says of
/// loopback, and groups of hosts prove nothing.
fn is_undialable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.octets().first() == Some(&0) || v4.is_multicast() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unspecified() || v6.is_multicast(),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !SPECIAL_V4.iter().any(|range| range.contains(&address))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    GLOBAL_UNICAST.contains(&address) && !SPECIAL_V6.iter().any(|range| range.contains(&address))
}

/// The IPv4 address inside 64:ff9b::/96 (RFC 6052 §2.1).
fn nat64_target(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [high @ .., a, b, c, d] = address.octets();
    (high == [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0]).then(|| Ipv4Addr::new(a, b, c, d))
}

/// IANA IPv4 Special-Purpose Address Registry, and multicast and future use (RFC 1112 §4). Blocks
/// that the registry calls globally reachable are here too: they serve a protocol, not a host name.
const SPECIAL_V4: &[Ipv4Net] = &[
    v4([0, 0, 0, 0], 8),       // "this network", RFC 791 §3.2
    v4([10, 0, 0, 0], 8),      // private use, RFC 1918
    v4([100, 64, 0, 0], 10),   // shared address space, RFC 6598
    v4([127, 0, 0, 0], 8),     // loopback, RFC 1122 §3.2.1.3
    v4([169, 254, 0, 0], 16),  // link local, RFC 3927; clouds keep their metadata there
    v4([172, 16, 0, 0], 12),   // private use, RFC 1918
    v4([192, 0, 0, 0], 24),    // IETF protocol assignments, RFC 6890 §2.1
    v4([192, 0, 2, 0], 24),    // documentation, RFC 5737
    v4([192, 31, 196, 0], 24), // AS112, RFC 7535
    v4([192, 52, 193, 0], 24), // AMT, RFC 7450
    v4([192, 88, 99, 0], 24),  // 6to4 relays, RFC 7526
    v4([192, 168, 0, 0], 16),  // private use, RFC 1918
    v4([192, 175, 48, 0], 24), // AS112, RFC 7534
    v4([198, 18, 0, 0], 15),   // benchmarks, RFC 2544
    v4([198, 51, 100, 0], 24), // documentation, RFC 5737
    v4([203, 0, 113, 0], 24),  // documentation, RFC 5737
    v4([224, 0, 0, 0], 4),     // multicast, RFC 5771
    v4([240, 0, 0, 0], 4),     // reserved, RFC 1112 §4, and 255.255.255.255
];

/// All that is assigned as IPv6 global unicast so far (RFC 4291 §2.4, IANA IPv6 Address Space).
/// Outside of it lie ::1, IPv4-compatible, fc00::/7, fe80::/10, 64:ff9b:1::/48, 100::/64, 5f00::/16.
const GLOBAL_UNICAST: Ipv6Net = v6([0x2000, 0, 0], 3);

/// IANA IPv6 Special-Purpose Address Registry, as far as it lies inside [`GLOBAL_UNICAST`]. Teredo
/// and 6to4 carry an IPv4 address that a relay would dial for us; both are out of use.
const SPECIAL_V6: &[Ipv6Net] = &[
    v6([0x2001, 0, 0], 23), // IETF protocol assignments: Teredo, ORCHID, benchmarks, AMT …
    v6([0x2001, 0xdb8, 0], 32), // documentation, RFC 3849
    v6([0x2002, 0, 0], 16), // 6to4, RFC 3056
    v6([0x2620, 0x4f, 0x8000], 48), // AS112, RFC 7534
    v6([0x3fff, 0, 0], 20), // documentation, RFC 9637
];

const fn v4([a, b, c, d]: [u8; 4], prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6([a, b, c]: [u16; 3], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn only_public_addresses_are_dialled_by_default() {
        let policy = AddressPolicy::default();
        for text in [
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2001:200::1",
            "2606:4700:4700::1111",
            "2a00:1450::1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
        ] {
            assert!(policy.permits(text.parse().unwrap()), "{text}");
        }
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.31.196.1",
            "192.52.193.1",
            "192.88.99.1",
            "192.168.1.1",
            "192.175.48.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "100::1",
            "100:0:0:1::1",
            "2001::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2002:808:808::1",
            "2620:4f:8000::1",
            "3fff::1",
            "3fff:fff::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!policy.permits(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn allow_opens_and_deny_wins() {
        let policy = AddressPolicy::new(
            nets(&[
                "10.0.0.0/8",
                "127.0.0.0/8",
                "fd00::/8",
                "::ffff:172.16.0.0/112",
            ]),
            nets(&["10.9.0.0/16", "8.8.8.0/24", "fd00:9::/32"]),
        );
        for (text, expect) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("127.0.0.1", true),
            ("fd00::1", true),
            ("172.16.0.9", true),
            ("172.17.0.9", false),
            ("10.9.1.1", false),
            ("::ffff:10.9.1.1", false),
            ("8.8.8.8", false),
            ("64:ff9b::8.8.8.8", false),
            ("64:ff9b::10.1.2.3", false),
            ("fd00:9::1", false),
            ("192.168.0.1", false),
            ("::1", false),
        ] {
            assert_eq!(policy.permits(text.parse().unwrap()), expect, "{text}");
        }
    }

    #[test]
    fn nothing_opens_the_unspecified_address() {
        let policy = AddressPolicy::new(
            nets(&["0.0.0.0/0", "::/0"]),
            nets(&["127.0.0.0/8", "::1/128"]),
        );
        for (text, expect) in [
            ("192.168.0.1", true),
            ("fe80::1", true),
            ("0.0.0.0", false),
            ("0.0.0.1", false),
            ("::", false),
            ("::ffff:0.0.0.0", false),
            ("127.0.0.1", false),
            ("::1", false),
            ("255.255.255.255", false),
            ("ff02::1", false),
        ] {
            assert_eq!(policy.permits(text.parse().unwrap()), expect, "{text}");
        }
    }
}
