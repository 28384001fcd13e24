//! Which addresses may be connected to.
//!
//! An IPv4 address is allowed unless a registry says that it is not a host of the internet (RFC 6890, and
//! IANA's registry of special-purpose addresses). An IPv6 address is allowed if it is one of those that are
//! given to hosts of the internet, `2000::/3`, less what is reserved in there. So forms that contain an
//! IPv4 address are refused without being looked into: mapped, compatible, 6to4 and Teredo. The exception
//! is `64:ff9b::/96`, by which a network without IPv4 reaches IPv4 hosts: the IPv4 address in it decides.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which addresses a client may connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Public addresses, with TLS.
    Public,
    /// Also those of this machine, with or without TLS: for a service on the machine of a developer.
    PublicAndLoopback,
}

impl Reach {
    /// Whether a connection with TLS may be made to this address.
    #[must_use]
    pub fn allows(self, address: IpAddr) -> bool {
        is_public(address) || self.allows_plain(address)
    }

    /// Whether a connection without TLS may be made to this address.
    #[must_use]
    pub fn allows_plain(self, address: IpAddr) -> bool {
        match self {
            Self::Public => false,
            Self::PublicAndLoopback => address.is_loopback(),
        }
    }
}

/// The ranges of IPv4 that are no hosts of the internet.
const REFUSED_V4: [(Ipv4Addr, u32); 15] = [
    // This network.
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    // Private networks.
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    // Networks of a carrier behind its address translation.
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    // Loopback; the runtime of a Lambda function answers there too.
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // Link-local, which has the metadata services of AWS.
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    // Assignments of the IETF.
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    // Documentation.
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    // The former relays of 6to4.
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    // Benchmarks.
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    // Multicast.
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    // Reserved, and broadcast.
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// The addresses of IPv6 that are given to hosts of the internet.
const ALLOWED_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// The ranges of [`ALLOWED_V6`] that are no hosts of the internet.
const REFUSED_V6: [(Ipv6Addr, u32); 4] = [
    // Assignments of the IETF, with Teredo and benchmarks.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    // Documentation.
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
    // 6to4.
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
];

/// IPv4 hosts as a network without IPv4 sees them (RFC 6052).
const TRANSLATED_V4: (Ipv6Addr, u32) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let is_in = |(range, bits): &(Ipv4Addr, u32)| {
        let differs = address.to_bits() ^ range.to_bits();
        differs.leading_zeros() >= *bits
    };
    !REFUSED_V4.iter().any(is_in)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let is_in = |(range, bits): &(Ipv6Addr, u32)| {
        let differs = address.to_bits() ^ range.to_bits();
        differs.leading_zeros() >= *bits
    };
    if is_in(&TRANSLATED_V4) {
        let [.., a, b, c, d] = address.octets();
        return is_public_v4(Ipv4Addr::new(a, b, c, d));
    }
    is_in(&ALLOWED_V6) && !REFUSED_V6.iter().any(is_in)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn allows(reach: Reach, address: &str) -> bool {
        reach.allows(address.parse().unwrap())
    }

    #[test]
    fn hosts_of_the_internet_are_allowed() {
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "52.94.5.1",
            "100.63.255.255",
            "100.128.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2001:200::1",
            "2600:1f18::1",
            "2a00:1450:4001::1",
            "64:ff9b::1.1.1.1",
        ] {
            assert!(allows(Reach::Public, address), "{address}");
        }
    }

    #[test]
    fn other_addresses_are_refused() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.169.254",
            "169.254.170.2",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
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
            "::ffff:1.1.1.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::1.1.1.1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2002:101:101::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!allows(Reach::Public, address), "{address}");
        }
    }

    #[test]
    fn this_machine_is_reached_only_on_request_and_only_by_its_loopback() {
        for address in ["127.0.0.1", "127.9.9.9", "::1"] {
            assert!(allows(Reach::PublicAndLoopback, address), "{address}");
        }
        for address in [
            "0.0.0.0",
            "::",
            "::ffff:127.0.0.1",
            "64:ff9b::127.0.0.1",
            "10.0.0.1",
            "169.254.169.254",
        ] {
            assert!(!allows(Reach::PublicAndLoopback, address), "{address}");
        }
        let public = "1.1.1.1".parse().unwrap();
        assert!(!Reach::PublicAndLoopback.allows_plain(public));
    }

    /// Addresses that are near a border of one of the ranges, or anywhere.
    fn v4() -> impl Strategy<Value = Ipv4Addr> {
        let near = (proptest::sample::select(&REFUSED_V4[..]), any::<u32>()).prop_map(
            |((range, bits), host)| range.to_bits() ^ host.checked_shr(bits - 1).unwrap_or(0),
        );
        prop_oneof![any::<u32>(), near].prop_map(Ipv4Addr::from_bits)
    }

    proptest! {
        #[test]
        fn what_the_standard_library_knows_as_special_is_refused(address in v4()) {
            let is_special = address.is_unspecified()
                || address.is_loopback()
                || address.is_private()
                || address.is_link_local()
                || address.is_multicast()
                || address.is_broadcast()
                || address.is_documentation();
            prop_assert!(!(is_special && Reach::Public.allows(address.into())));
        }

        #[test]
        fn every_host_of_a_refused_range_is_refused(
            (range, bits) in proptest::sample::select(&REFUSED_V4[..]),
            host in any::<u32>(),
        ) {
            let address = Ipv4Addr::from_bits(range.to_bits() | (host >> bits));
            prop_assert!(!Reach::Public.allows(address.into()));
        }

        #[test]
        fn a_form_of_a_refused_address_is_refused(address in v4(), other in any::<u32>()) {
            let bits = u128::from(address.to_bits());
            let other = u128::from(other);
            let forms = [
                bits,
                0xffff << 32 | bits,
                0x64_ff9b << 96 | bits,
                0x64_ff9b_0001 << 80 | bits,
                0x2002 << 112 | bits << 80 | other,
                // The server, and the client with its bits inverted.
                0x2001 << 112 | bits << 64 | other,
                0x2001 << 112 | other << 64 | (bits ^ 0xffff_ffff),
            ];
            for form in forms.map(Ipv6Addr::from_bits) {
                let allowed = Reach::Public.allows(form.into());
                prop_assert!(!allowed || Reach::Public.allows(address.into()), "{form}");
            }
        }

        #[test]
        fn an_address_of_ipv6_is_a_host_of_the_internet(bits in any::<u128>()) {
            let address = Ipv6Addr::from_bits(bits);
            let [first, ..] = address.octets();
            prop_assert!(!Reach::Public.allows(address.into()) || first >> 5 == 1);
        }
    }
}
