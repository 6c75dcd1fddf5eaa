//! Certificates of the tests' own, and servers that have them.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use idpflare_management::{Certificate, Identity, Transport, TransportBuilder};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{
    DEFAULT_VERSIONS, RootCertStore, ServerConfig, SupportedProtocolVersion, crypto::ring,
};

/// A certificate and its key.
pub(crate) type Issued = (rcgen::Certificate, KeyPair);

/// A certificate authority of a test's own.
pub(crate) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) root: rcgen::Certificate,
}

impl Ca {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        // Of two with the same name, only the signature would tell which one it was.
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("Test CA {}", NUMBER.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).expect("a root");
        Self {
            issuer: Issuer::new(params, key),
            root,
        }
    }

    pub(crate) fn root(&self) -> Certificate {
        Certificate::from_pem(self.root.pem().as_bytes()).expect("a certificate")
    }

    pub(crate) fn issue(&self, name: &str) -> Issued {
        self.issue_for(name, 2000..3000)
    }

    /// A certificate for `name` that is valid from the first day of one year to that of another.
    pub(crate) fn issue_for(&self, name: &str, years: Range<i32>) -> Issued {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        params.not_before = date_time_ymd(years.start, 1, 1);
        params.not_after = date_time_ymd(years.end, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (certificate, key)
    }

    pub(crate) fn identity(&self) -> Identity {
        identity(&self.issue("client.example"))
    }
}

pub(crate) fn identity((certificate, key): &Issued) -> Identity {
    let pem = certificate.pem();
    Identity::from_pem(pem.as_bytes(), key.serialize_pem().as_bytes()).expect("an identity")
}

/// A listener on a free port, and what makes TLS of its connections, with a certificate for `name`.
/// It asks clients for one of `clients`, if that is given.
pub(crate) async fn listen(
    ca: &Ca,
    name: &str,
    alpn: &[&str],
    clients: Option<&Ca>,
) -> (TlsAcceptor, TcpListener) {
    listen_as(&ca.issue(name), alpn, clients, DEFAULT_VERSIONS).await
}

/// The same with this certificate, and these versions of TLS.
pub(crate) async fn listen_as(
    issued: &Issued,
    alpn: &[&str],
    clients: Option<&Ca>,
    versions: &[&'static SupportedProtocolVersion],
) -> (TlsAcceptor, TcpListener) {
    listen_to(issued, alpn, clients.map(|ca| (ca, true)), versions).await
}

/// The same, where a certificate of `clients` may be left out, unless the second part is `true`.
pub(crate) async fn listen_to(
    (certificate, key): &Issued,
    alpn: &[&str],
    clients: Option<(&Ca, bool)>,
    versions: &[&'static SupportedProtocolVersion],
) -> (TlsAcceptor, TcpListener) {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .expect("versions");
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some((clients, is_required)) => {
            let mut roots = RootCertStore::empty();
            roots.add(clients.root.der().clone()).expect("a root");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = if is_required {
                verifier
            } else {
                verifier.allow_unauthenticated()
            };
            builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
        }
    };
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let mut config = builder
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a certificate with its key");
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    (TlsAcceptor::from(Arc::new(config)), listener)
}

pub(crate) fn at(name: &str, address: SocketAddr) -> String {
    format!("https://{name}:{}", address.port())
}

pub(crate) fn trusting(ca: &Ca) -> TransportBuilder {
    Transport::builder().root_certificate(ca.root())
}
