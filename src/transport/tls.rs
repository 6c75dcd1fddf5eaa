//! What a TLS connection is made with.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;

use idpflare_layers::find_source;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{AlertDescription, ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

use crate::Error;

/// A certificate to trust (X.509).
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate(Vec<CertificateDer<'static>>);

impl Certificate {
    /// Reads PEM (RFC 7468): one certificate or more.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) where there is none in it.
    pub fn from_pem(pem: &[u8]) -> Result<Self, Error> {
        certificates(pem).map(Self)
    }

    /// Takes over a certificate in DER. Whether it is one is told when the transport is built.
    #[must_use]
    pub fn from_der(der: impl Into<Vec<u8>>) -> Self {
        Self(vec![CertificateDer::from(der.into())])
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive()
    }
}

/// A certificate of the client's own, with its private key.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads PEM (RFC 7468): the certificate, then those between it and a root that the server
    /// trusts; and the key (PKCS #8, PKCS #1 or SEC 1).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) where one of them is not
    /// there.
    pub fn from_pem(certificates_pem: &[u8], key_pem: &[u8]) -> Result<Self, Error> {
        // The error could quote the key.
        let key = PrivateKeyDer::from_pem_slice(key_pem)
            .map_err(|_| Error::configuration("there is no private key in the PEM"))?;
        Ok(Self {
            chain: certificates(certificates_pem)?,
            key,
        })
    }
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            key: self.key.clone_key(),
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| Error::configuration("a certificate can't be read").with_source(error))?;
    if certificates.is_empty() {
        return Err(Error::configuration("there is no certificate in the PEM"));
    }
    Ok(certificates)
}

pub(super) struct Settings {
    pub(super) extra_roots: Vec<Certificate>,
    pub(super) platform_roots: bool,
    pub(super) identity: Option<Identity>,
    pub(super) needed: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            extra_roots: Vec::new(),
            platform_roots: true,
            identity: None,
            needed: true,
        }
    }
}

/// What connections are made with.
pub(super) struct Configurations {
    pub(super) for_servers: ClientConfig,
    /// Proxies are not shown the identity.
    pub(super) for_proxies: ClientConfig,
}

impl Settings {
    pub(super) fn configurations(self) -> Result<Configurations, Error> {
        let no_roots = |error: rustls::Error| {
            Error::configuration(
                "no certificates to trust: install the platform's (the package ca-certificates, or SSL_CERT_FILE), or correct those given as root_certificate",
            )
            .with_source(error)
        };
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::configuration("TLS can't be set up").with_source(error))?;
        let extra_roots = self.extra_roots.into_iter().flat_map(|root| root.0);
        let builder = if self.needed && self.platform_roots {
            let verifier = Verifier::new_with_extra_roots(extra_roots, provider);
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier.map_err(no_roots)?))
        } else {
            let mut roots = RootCertStore::empty();
            for root in extra_roots {
                roots.add(root).map_err(no_roots)?;
            }
            if self.needed && roots.is_empty() {
                let none = String::from("neither the platform's roots nor others are wanted");
                return Err(no_roots(rustls::Error::General(none)));
            }
            builder.with_root_certificates(roots)
        };
        let for_proxies = builder.clone().with_no_client_auth();
        let for_servers = match self.identity {
            None => for_proxies.clone(),
            Some(Identity { chain, key }) => {
                builder.with_client_auth_cert(chain, key).map_err(|error| {
                    Error::configuration("the identity can't be used").with_source(error)
                })?
            }
        };
        Ok(Configurations {
            for_servers,
            for_proxies,
        })
    }
}

/// What a side says that does not trust the other, or has nothing in common with it.
const REFUSALS: [AlertDescription; 9] = [
    AlertDescription::AccessDenied,
    AlertDescription::BadCertificate,
    AlertDescription::CertificateExpired,
    AlertDescription::CertificateRequired,
    AlertDescription::CertificateRevoked,
    AlertDescription::CertificateUnknown,
    AlertDescription::HandshakeFailure,
    AlertDescription::UnknownCA,
    AlertDescription::UnsupportedCertificate,
];

/// Whether a connection failed because one side does not trust the other's certificate: trying again
/// would not help. With TLS 1.3 a server says so only after the client has begun to send.
pub(super) fn is_untrusted(error: &(dyn StdError + 'static)) -> bool {
    match find_source::<rustls::Error>(error) {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => true,
        Some(rustls::Error::AlertReceived(alert)) => REFUSALS.contains(alert),
        Some(_) => false,
        // Of what a connection failed with, h2 keeps only the kind and the text.
        None => find_source::<io::Error>(error).is_some_and(|error| {
            let text = error.to_string();
            let says = |alert| rustls::Error::AlertReceived(alert).to_string() == text;
            error.kind() == io::ErrorKind::InvalidData && REFUSALS.into_iter().any(says)
        }),
    }
}
