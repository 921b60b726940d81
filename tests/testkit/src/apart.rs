//! A stack on three machines: the agent on one, the collector with its engine on another, this one between them, with TLS
//! and a token from agent to collector. With `LEDGERLINE_APART` set, every stack is such a one, so that the same tests hold
//! across machines (`make test-apart`).
//!
//! A test talks to a stack in plain HTTP on loopback, as to one that is not apart. Here a thread that lives on the
//! collector's machine takes what comes, adds TLS and the token, and passes it on: a dashboard's proxy.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::Context;
use http::header::{AUTHORIZATION, CONNECTION, HOST, HeaderValue};
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::network::{Authority, Network};

const TOKEN: &str = "the-token-of-a-test";

/// Three listeners and an engine.
const WINDOWS_MAX: usize = 4;

fn is_asked_for() -> bool {
    std::env::var_os("LEDGERLINE_APART").is_some()
}

/// Where something must listen that a collector calls.
#[must_use]
pub fn for_a_collector() -> SocketAddr {
    (if is_asked_for() { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST }, 0).into()
}

/// The machines of one stack.
#[derive(Debug)]
pub struct Apart {
    network: Network,
    directory: PathBuf,
    windows: Mutex<BTreeMap<u16, SocketAddr>>,
    open: Sender<Window>,
}

/// A port here behind which is one there.
struct Window {
    listener: TcpListener,
    port: u16,
    is_http: bool,
}

impl Apart {
    /// Makes the machines if `LEDGERLINE_APART` asks for them.
    ///
    /// # Errors
    /// When a file cannot be written or the thread not started.
    pub fn asked_for(directory: &Path) -> anyhow::Result<Option<Arc<Self>>> {
        if !is_asked_for() {
            return Ok(None);
        }
        let network = Network::join();
        let authority = Authority::new(&network);
        authority.certify(directory, 2099);
        let ca = authority.write(directory);
        std::fs::write(directory.join("token"), TOKEN)?;
        let namespace = File::open(Path::new("/run/netns").join(&network.collector))?;
        let client = client(&ca)?;
        let (open, opened) = channel(WINDOWS_MAX);
        std::thread::Builder::new().name("apart".to_owned()).spawn(move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("setns");
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(serve(opened, client));
        })?;
        Ok(Some(Arc::new(Self { network, directory: directory.to_owned(), windows: Mutex::default(), open })))
    }

    /// Where the provider must listen so that the agent reaches it.
    #[must_use]
    pub fn here(&self) -> SocketAddr {
        (self.network.here(), 0).into()
    }

    /// This machine as the collector sees it.
    #[must_use]
    pub fn here_from_collector(&self) -> String {
        self.network.here_from_collector().to_string()
    }

    /// What the collector's configuration says more: of its listeners, and at the top.
    #[must_use]
    pub fn collector_yaml(&self) -> (String, String) {
        let path = |name: &str| self.directory.join(name).display().to_string();
        let tls = format!(", tls: {{cert_file: {}, key_file: {}}}", path("server.pem"), path("server.key"));
        (tls, format!("auth: {{tokens: [{{token: {{file: {}}}, tenant: default}}]}}\n", path("token")))
    }

    /// What the agent's says more: at the top, and of its collector.
    #[must_use]
    pub fn agent_yaml(&self) -> (String, String) {
        let path = |name: &str| self.directory.join(name).display().to_string();
        let export = format!(", token: {{file: {}}}, ca_file: {}", path("token"), path("ca.pem"));
        ("allow_remote: true\n".to_owned(), export)
    }

    /// The collector's port as the agent sees it.
    #[must_use]
    pub fn collector_from_agent(&self, port: &str) -> String {
        format!("https://{}:{port}", self.network.collector_from_agent())
    }

    /// The command that runs this program on the agent's or the collector's machine.
    #[must_use]
    pub fn command(&self, program: &Path) -> Vec<String> {
        let is_agent = program.ends_with("ledgerline-agent");
        let namespace = if is_agent { &self.network.agent } else { &self.network.collector };
        let program = program.display().to_string();
        ["ip", "netns", "exec", namespace, &program].map(str::to_owned).to_vec()
    }

    /// Where a test reaches a port of the agent.
    #[must_use]
    pub fn to_agent(&self, port: u16) -> SocketAddr {
        (self.network.agent(), port).into()
    }

    /// Where a test reaches a port of the collector, or of its engine, which is plain.
    ///
    /// # Errors
    /// When no port is free here, or the thread has ended.
    pub fn to_collector(&self, port: u16, is_http: bool) -> anyhow::Result<SocketAddr> {
        let mut windows = self.windows.lock().expect("no test panicked here");
        if let Some(address) = windows.get(&port) {
            return Ok(*address);
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        self.open.try_send(Window { listener, port, is_http }).ok().context("the thread has ended")?;
        windows.insert(port, address);
        Ok(address)
    }
}

type Tls = Client<HttpsConnector<HttpConnector>, Incoming>;

fn client(ca: &Path) -> anyhow::Result<Tls> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in rustls_pki_types::pem::PemObject::pem_file_iter(ca)? {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_all_versions();
    Ok(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector.build()))
}

async fn serve(mut opened: Receiver<Window>, client: Tls) {
    let mut windows = tokio::task::JoinSet::new();
    while let Some(Window { listener, port, is_http }) = opened.recv().await {
        let (listener, client) = (tokio::net::TcpListener::from_std(listener), client.clone());
        windows.spawn(async move {
            let listener = listener.expect("a listener");
            while let Ok((stream, _)) = listener.accept().await {
                let client = client.clone();
                tokio::spawn(async move {
                    if is_http {
                        pass_http(stream, port, client).await;
                    } else {
                        pass_bytes(stream, port).await;
                    }
                });
            }
        });
    }
}

async fn pass_bytes(mut near: TcpStream, port: u16) {
    if let Ok(mut far) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
        // Either side may leave when it likes.
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
    }
}

async fn pass_http(stream: TcpStream, port: u16, client: Tls) {
    let service = service_fn(move |request| pass(request, port, client.clone()));
    // What cannot be passed on closes the connection, as a collector that is not there.
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

async fn pass(
    mut request: Request<Incoming>,
    port: u16,
    client: Tls,
) -> Result<Response<Incoming>, Box<dyn std::error::Error + Send + Sync>> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = format!("https://127.0.0.1:{port}{path}").parse::<Uri>()?;
    let headers = request.headers_mut();
    headers.remove(HOST);
    headers.remove(CONNECTION);
    if !headers.contains_key(AUTHORIZATION) {
        headers.insert(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {TOKEN}"))?);
    }
    Ok(client.request(request).await?)
}
