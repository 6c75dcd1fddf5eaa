use std::error::Error;
use std::fmt;

use http::Uri;
use http::uri::Scheme;

/// Scheme, host and port of a URL (RFC 6454, section 4): what a credential is pinned to.
///
/// Two are equal where the schemes are the same, the hosts are but for letter case, and the ports
/// are, an absent one counting as the scheme's own (80, 443).
///
/// ```
/// use http::Uri;
/// use idpflare_layers::Origin;
///
/// let origin = Origin::of(&Uri::from_static("https://IdP.example.com/idp/api"))?;
/// assert_eq!(origin.to_string(), "https://idp.example.com");
/// assert!(origin.matches(&Uri::from_static("https://idp.example.com:443/other")));
/// assert!(!origin.matches(&Uri::from_static("http://idp.example.com:443/other")));
/// # Ok::<(), idpflare_layers::InvalidOrigin>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    scheme: Scheme,
    /// In lower case.
    host: Box<str>,
    port: u16,
}

impl Origin {
    /// The origin of `uri`.
    ///
    /// # Errors
    ///
    /// Where `uri` is not absolute, is neither `http` nor `https`, or has a port that is none.
    pub fn of(uri: &Uri) -> Result<Self, InvalidOrigin> {
        let (scheme, host, port) = parts(uri).ok_or(InvalidOrigin(()))?;
        Ok(Self {
            scheme: scheme.clone(),
            host: host.to_ascii_lowercase().into_boxed_str(),
            port,
        })
    }

    /// Whether `uri` belongs to this origin.
    #[must_use]
    pub fn matches(&self, uri: &Uri) -> bool {
        self.is_written_in(uri)
            || parts(uri).is_some_and(|(scheme, host, port)| {
                *scheme == self.scheme && port == self.port && host.eq_ignore_ascii_case(&self.host)
            })
    }

    /// Whether `uri` has this origin word for word, as nearly all have. To take an authority apart
    /// costs ten times as much.
    fn is_written_in(&self, uri: &Uri) -> bool {
        let authority = uri.authority().map_or("", http::uri::Authority::as_str);
        let Some(rest) = authority.strip_prefix(&*self.host) else {
            return false;
        };
        let same_port = match rest.strip_prefix(':') {
            Some(port) => port.parse() == Ok(self.port),
            None => rest.is_empty() && default_port(&self.scheme) == Some(self.port),
        };
        same_port && uri.scheme() == Some(&self.scheme)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        if default_port(&self.scheme) != Some(self.port) {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}

/// Scheme, host and effective port.
pub(crate) fn parts(uri: &Uri) -> Option<(&Scheme, &str, u16)> {
    let scheme = uri.scheme()?;
    let default = default_port(scheme)?;
    let authority = uri.authority()?;
    let host = authority.host();
    let (_, host_and_port) = authority
        .as_str()
        .rsplit_once('@')
        .unwrap_or(("", authority.as_str()));
    let port = match host_and_port.strip_prefix(host)? {
        "" | ":" => default,
        // What is no port number is not the same as none.
        port => port.strip_prefix(':')?.parse().ok()?,
    };
    (!host.is_empty()).then_some((scheme, host, port))
}

fn default_port(scheme: &Scheme) -> Option<u16> {
    if *scheme == Scheme::HTTPS {
        Some(443)
    } else if *scheme == Scheme::HTTP {
        Some(80)
    } else {
        None
    }
}

/// A URL without an origin: not absolute, neither `http` nor `https`, or with a port that is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidOrigin(());

impl fmt::Display for InvalidOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("only an absolute http or https URL with a valid port has an origin")
    }
}

impl Error for InvalidOrigin {}
