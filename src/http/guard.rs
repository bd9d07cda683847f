//! Which addresses may be asked: those of public use, and those that the owner allows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use url::{Host, Url};

use super::{Settings, excerpt};

/// Whether an address is of public use: not loopback, private, link-local, shared (CGNAT),
/// documentation, benchmarking, multicast, reserved, nor one of these inside an IPv6 address.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    objection(address).is_none()
}

/// Why a URL would never be asked under these settings, as far as it can be told without looking its host up.
#[must_use]
pub fn refusal(url: &Url, settings: &Settings) -> Option<String> {
    Guard::of(settings).check(url).err().map(|refusal| refusal.0)
}

/// An address that is not asked, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refusal(pub(super) String);

/// What may be asked.
#[derive(Debug, Default)]
pub(super) struct Guard {
    /// Whether everything may be asked.
    pub(super) is_open: bool,
    allowed: Vec<IpNet>,
}

impl Guard {
    pub(super) fn of(settings: &Settings) -> Self {
        Self { is_open: settings.allow_private_networks, allowed: settings.allow_networks.clone() }
    }

    /// For what the owner configured.
    pub(super) const fn open() -> Self {
        Self { is_open: true, allowed: Vec::new() }
    }

    /// Refuses what is known from the URL alone; names are checked again when they are looked up.
    pub(super) fn check(&self, url: &Url) -> Result<(), Refusal> {
        if !matches!(url.scheme(), "http" | "https") {
            let scheme = excerpt(url.scheme());
            return Err(Refusal(format!("`{scheme}:` addresses are not fetched, only http and https")));
        }
        let address = match url.host() {
            Some(Host::Ipv4(v4)) => IpAddr::V4(v4),
            Some(Host::Ipv6(v6)) => IpAddr::V6(v6),
            Some(Host::Domain(name)) if is_localhost(name) => {
                let here = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
                return self.pick(name, here.map(|address| SocketAddr::new(address, 0)).to_vec()).map(drop);
            }
            Some(Host::Domain(_)) => return Ok(()),
            None => return Err(Refusal("the address names no host".into())),
        };
        self.objection(address).map_or(Ok(()), |kind| {
            Err(Refusal(format!("{address} is {kind} and is not asked; {}", remedy(address))))
        })
    }

    /// Of the addresses that a name leads to, those that may be asked.
    pub(super) fn pick(&self, name: &str, mut found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Refusal> {
        let first = found.first().copied();
        found.retain(|address| self.objection(address.ip()).is_none());
        match first {
            Some(first) if found.is_empty() => self.check_all(name, &[first]).map(|()| found),
            _ => Ok(found),
        }
    }

    /// Refuses a name of whose addresses one may not be asked, for where somebody else picks.
    pub(super) fn check_all(&self, name: &str, found: &[SocketAddr]) -> Result<(), Refusal> {
        let within = found.iter().find_map(|address| Some((address.ip(), self.objection(address.ip())?)));
        within.map_or(Ok(()), |(address, kind)| {
            Err(Refusal(format!(
                "{} leads to {address}, which is {kind} and is not asked; {}",
                excerpt(name),
                remedy(address)
            )))
        })
    }

    /// What an address is that may not be asked.
    fn objection(&self, address: IpAddr) -> Option<&'static str> {
        if self.is_open {
            return None;
        }
        let kind = objection(address)?;
        let plain = address.to_canonical();
        let is_allowed = |net: &IpNet| net.contains(&address) || net.contains(&plain);
        (!self.allowed.iter().any(is_allowed)).then_some(kind)
    }
}

/// `localhost` and the names under it are this machine by definition, whoever looks them up.
fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name == "localhost" || name.ends_with(".localhost")
}

fn remedy(address: IpAddr) -> String {
    format!("`allow_networks = [\"{}\"]` in `[fetch]` allows it", IpNet::from(address.to_canonical()))
}

/// What an address is, where it is not of public use.
fn objection(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => objection_v4(v4),
        IpAddr::V6(v6) => objection_v6(v6),
    }
}

/// <https://www.iana.org/assignments/iana-ipv4-special-registry>
fn objection_v4(v4: Ipv4Addr) -> Option<&'static str> {
    Some(match v4.octets() {
        [0 | 127, ..] => "an address of this machine itself",
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => "a private address",
        [169, 254, ..] => "a link-local address",
        [100, 64..=127, ..] => "an address within a provider's network",
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => "an address for examples",
        [198, 18 | 19, ..] => "an address for benchmarks",
        [224..=239, ..] => "a multicast address",
        [192, 0, 0, _] | [192, 88, 99, _] | [240..=255, ..] => "a reserved address",
        _ => return None,
    })
}

/// <https://www.iana.org/assignments/iana-ipv6-special-registry>
fn objection_v6(v6: Ipv6Addr) -> Option<&'static str> {
    let inner = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        objection_v4(Ipv4Addr::new(a, b, c, d))
    };
    Some(match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => "an address of this machine itself",
        // IPv4-compatible, IPv4-mapped, NAT64 and 6to4 addresses are as public as the address inside them.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            return inner(high, low);
        }
        [0x2002, high, low, ..] => return inner(high, low),
        [0x64, 0xff9b, 1, ..] | [0xfc00..=0xfdff, ..] => "a private address",
        [0xfe80..=0xfebf, ..] => "a link-local address",
        [0xff00..=0xffff, ..] => "a multicast address",
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => "an address for examples",
        [0x2001, 0..=0x1ff, ..] => "a reserved address",
        // Only 2000::/3 is handed out.
        [0x2000..=0x3fff, ..] => return None,
        _ => "a reserved address",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowing(networks: &[&str]) -> Guard {
        let allowed = networks.iter().map(|net| net.parse().expect("a network")).collect();
        Guard { is_open: false, allowed }
    }

    fn refusal(guard: &Guard, url: &str) -> Option<String> {
        guard.check(&Url::parse(url).expect(url)).err().map(|refusal| refusal.0)
    }

    #[test]
    fn only_addresses_of_public_use_pass() {
        for public in [
            "1.1.1.1",
            "93.184.216.34",
            "100.128.0.1",
            "172.32.0.1",
            "198.20.0.1",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::",
        ] {
            assert!(is_public(public.parse().expect(public)), "{public}");
        }
        for private in [
            "127.0.0.1",
            "127.255.0.3",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.255.255",
            "0.0.0.0",
            "0.1.2.3",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:10::1",
            "2001:db8::1",
            "3fff::1",
            "5f00::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::8.8.8.8",
            "2002:7f00:1::",
            "2002:c0a8:101::1",
        ] {
            assert!(!is_public(private.parse().expect(private)), "{private}");
        }
    }

    #[test]
    fn every_spelling_of_loopback_is_refused() {
        for url in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://localhost/",
            "http://LOCALHOST./",
            "http://me.localhost/",
            "file:///etc/passwd",
            "ftp://example.com/",
        ] {
            assert!(refusal(&Guard::default(), url).is_some(), "{url}");
        }
        assert_eq!(refusal(&Guard::default(), "https://example.com/"), None);
        assert!(refusal(&Guard::open(), "ftp://example.com/").is_some(), "whatever is allowed");
    }

    #[test]
    fn a_network_that_is_allowed_is_asked_and_no_other() {
        let guard = allowing(&["192.168.1.0/24", "fd00::/8", "127.0.0.1/32"]);
        for allowed in [
            "http://192.168.1.7/",
            "http://[fd12::1]/",
            "http://[::ffff:192.168.1.7]/",
            "http://localhost:8080/",
        ] {
            assert_eq!(refusal(&guard, allowed), None, "{allowed}");
        }
        for refused in ["http://192.168.2.7/", "http://127.0.0.2/", "http://[::1]/", "http://10.0.0.1/"] {
            assert!(refusal(&guard, refused).is_some(), "{refused}");
        }
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        assert_eq!(
            refusal(&Guard::default(), "http://[::ffff:192.168.1.1]/").as_deref(),
            Some(
                "::ffff:192.168.1.1 is a private address and is not asked; \
                 `allow_networks = [\"192.168.1.1/32\"]` in `[fetch]` allows it"
            )
        );
    }

    #[test]
    fn of_the_addresses_of_a_name_only_the_public_ones_are_used() {
        let addresses = |texts: &[&str]| -> Vec<SocketAddr> {
            texts.iter().map(|text| SocketAddr::new(text.parse().expect(text), 0)).collect()
        };
        let guard = Guard::default();
        let picked =
            guard.pick("a.example", addresses(&["10.0.0.1", "1.1.1.1", "::1"])).expect("one is public");
        assert_eq!(picked, addresses(&["1.1.1.1"]));
        assert_eq!(
            guard.pick("a.example", addresses(&["10.0.0.1", "::1"])).map_err(|refusal| refusal.0),
            Err("a.example leads to 10.0.0.1, which is a private address and is not asked; \
                 `allow_networks = [\"10.0.0.1/32\"]` in `[fetch]` allows it"
                .into())
        );
    }
}
