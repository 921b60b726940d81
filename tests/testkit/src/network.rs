//! Machines on this machine: network namespaces of the kernel, joined by virtual cables, and the certificates that their
//! names need.
//!
//! Needs `ip` of iproute2 and the right to make namespaces; without them it panics and says so.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split_whitespace()).output();
    let output = output.expect("`ip` is missing. On Debian: apt-get install iproute2");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {said} (making network namespaces needs root)");
}

/// Two machines and this one, each joined to each by a cable of its own.
#[derive(Debug)]
pub struct Network {
    /// The agent's namespace.
    pub agent: String,
    /// The collector's.
    pub collector: String,
    /// The third number of every address; the second is this process's.
    prefix: String,
}

impl Network {
    /// Makes the namespaces and joins them. Panics when that is not possible.
    #[must_use]
    pub fn join() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let network = Self {
            agent: format!("lla{process}-{number}"),
            collector: format!("llc{process}-{number}"),
            prefix: format!("10.{}.{}", 128 + process % 120, (process / 120 + u32::from(number) * 83) % 250),
        };
        let Self { agent, collector, .. } = &network;
        for namespace in [agent, collector] {
            ip(&format!("netns add {namespace}"));
            ip(&format!("-n {namespace} link set lo up"));
        }
        let cable = |here: &str, there: &str| format!("link add {here} type veth peer name {there}");
        // Names of interfaces have 15 bytes at most; those inside a namespace are its own.
        let outer = [format!("la{process}-{number}"), format!("lc{process}-{number}")];
        for ((name, namespace), host) in outer.iter().zip([agent, collector]).zip([1, 5]) {
            ip(&format!("{} netns {namespace}", cable(name, "home")));
            ip(&format!("addr add {}/30 dev {name}", network.address(host)));
            ip(&format!("link set {name} up"));
            ip(&format!("-n {namespace} addr add {}/30 dev home", network.address(host + 1)));
            ip(&format!("-n {namespace} link set home up"));
        }
        ip(&format!("-n {agent} {} netns {collector}", cable("peer", "peer")));
        for (namespace, host) in [(agent, 9), (collector, 10)] {
            ip(&format!("-n {namespace} addr add {}/30 dev peer", network.address(host)));
            ip(&format!("-n {namespace} link set peer up"));
        }
        network
    }

    fn address(&self, host: u8) -> Ipv4Addr {
        format!("{}.{host}", self.prefix).parse().unwrap()
    }

    /// This machine, as the agent sees it: the provider is here.
    #[must_use]
    pub fn here(&self) -> Ipv4Addr {
        self.address(1)
    }

    /// The same as the collector sees it.
    #[must_use]
    pub fn here_from_collector(&self) -> Ipv4Addr {
        self.address(5)
    }

    /// The agent, as this machine sees it: services are here.
    #[must_use]
    pub fn agent(&self) -> Ipv4Addr {
        self.address(2)
    }

    /// The collector, as this machine sees it: dashboards are here.
    #[must_use]
    pub fn collector(&self) -> Ipv4Addr {
        self.address(6)
    }

    /// The collector, as the agent sees it.
    #[must_use]
    pub fn collector_from_agent(&self) -> Ipv4Addr {
        self.address(10)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for namespace in [&self.agent, &self.collector] {
            // The cables go with the namespaces.
            let _ = Command::new("ip").args(["netns", "del", namespace]).status();
        }
    }
}

/// An authority, and certificates of the collector.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    names: Vec<String>,
}

impl Authority {
    /// For a collector of that network, and for those who are on its machine.
    #[must_use]
    pub fn new(network: &Network) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // Named apart from what it issues: OpenSSL takes equal names for a self-signed certificate.
        params.distinguished_name.push(DnType::CommonName, "authority of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let names = [network.collector(), network.collector_from_agent(), Ipv4Addr::LOCALHOST];
        let names = names.map(|address| address.to_string());
        Self { issuer, names: names.to_vec() }
    }

    /// Writes its own certificate into `ca.pem` there.
    #[must_use]
    pub fn write(&self, directory: &Path) -> PathBuf {
        let path = directory.join("ca.pem");
        std::fs::write(&path, self.issuer.pem()).unwrap();
        path
    }

    /// A certificate for the collector that is valid to the end of the year `until`, put in place as renewals are.
    pub fn certify(&self, directory: &Path, until: i32) {
        let mut params = CertificateParams::new(self.names.clone()).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 12, 31);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        for (name, text) in [("server.key", key.serialize_pem()), ("server.pem", certificate.pem())] {
            let unfinished = directory.join(format!("{name}.new"));
            std::fs::write(&unfinished, text).unwrap();
            std::fs::rename(unfinished, directory.join(name)).unwrap();
        }
    }
}
