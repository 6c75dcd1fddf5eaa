use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::Uri;
use http::uri::Scheme;
use idpflare_layers::Origin;

use crate::Error;
use crate::segment;

/// The base path of the API, below the authority.
const API_BASE: &str = "/api/v1";

/// The URL of an IDPFlare instance: what the API's paths are appended to.
///
/// It is `https`, or `http` where the host is loopback (`localhost`, `127.0.0.0/8`, `[::1]`);
/// [`Authority::insecure`] accepts `http` elsewhere. It may have a path prefix, whose segments follow
/// the rule for [ids](crate::Encoder::id). One trailing `/` is dropped.
///
/// ```
/// use idpflare_management::Authority;
///
/// let authority: Authority = "https://example.com/idp/".parse()?;
/// assert_eq!(authority.to_string(), "https://example.com/idp");
///
/// for refused in [
///     "example.com",                  // not absolute
///     "ftp://example.com",            // not http
///     "http://example.com",           // keys would travel in plain text
///     "https://user@example.com",     // userinfo
///     "https://example.com/?a=b",     // a query
///     "https://example.com/#a",       // a fragment
/// ] {
///     assert!(refused.parse::<Authority>().is_err());
/// }
/// # Ok::<(), idpflare_management::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Authority {
    scheme: Scheme,
    authority: http::uri::Authority,
    /// The prefix of every path: the authority's own path and the API's base.
    base_path: Box<str>,
    origin: Origin,
}

impl Authority {
    /// Parses an authority, accepting `http` for every host.
    ///
    /// Over plain `http` the API key can be read and replayed by whoever is on the way. This is for
    /// networks that protect it in another way, such as a service mesh.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) where `authority` is not an
    /// absolute `http` or `https` URL, or has userinfo, a query, a fragment, or a path that a proxy
    /// could make another one of.
    pub fn insecure(authority: &str) -> Result<Self, Error> {
        Self::parse(authority, true)
    }

    fn parse(authority: &str, http_everywhere: bool) -> Result<Self, Error> {
        // `Uri` drops a fragment without a word.
        if authority.contains('#') {
            return Err(refused("has a fragment: leave out the # and all behind it"));
        }
        let uri: Uri = authority
            .parse()
            .map_err(|_| refused("is not a URL: write it like https://idp.example.com"))?;
        let parts = uri.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(refused(
                "is not an absolute URL: write it like https://idp.example.com",
            ));
        };
        if scheme != Scheme::HTTPS && scheme != Scheme::HTTP {
            return Err(refused("is neither https nor http"));
        }
        if authority.as_str().contains('@') {
            return Err(refused(
                "has a user name or password: leave out all before the @",
            ));
        }
        // `Authority` keeps a port that is empty or too large as text.
        let host = authority.host();
        let port = &authority.as_str()[host.len()..];
        let is_port = |port: &str| {
            port.bytes().all(|byte| byte.is_ascii_digit())
                && port.parse::<u16>().is_ok_and(|port| port != 0)
        };
        if host.is_empty()
            || (host.starts_with('[') && address(host).is_none())
            || (!port.is_empty() && !port.strip_prefix(':').is_some_and(is_port))
        {
            return Err(refused("has no valid host and port"));
        }
        if scheme == Scheme::HTTP && !http_everywhere && !is_loopback(host) {
            return Err(refused(
                "is plain http to another machine, where the API key could be read: use https, or Authority::insecure if the network is trusted",
            ));
        }
        let path = parts.path_and_query;
        if path.as_ref().is_some_and(|path| path.query().is_some()) {
            return Err(refused("has a query: leave out the ? and all behind it"));
        }
        let path = path.as_ref().map_or("", |path| path.path());
        let prefix = path.strip_suffix('/').unwrap_or(path);
        for segment in prefix.split('/').skip(1) {
            segment::check(segment)
                .map_err(|fault| refused(&format!("has a path in which a segment {fault}")))?;
        }
        let origin = Uri::builder()
            .scheme(scheme.clone())
            .authority(authority.clone())
            .path_and_query("/")
            .build()
            .ok()
            .and_then(|uri| Origin::of(&uri).ok())
            .ok_or_else(|| refused("has no valid host and port"))?;
        Ok(Self {
            scheme,
            authority,
            base_path: format!("{prefix}{API_BASE}").into_boxed_str(),
            origin,
        })
    }

    /// Scheme, host and port: what an [`ApiKeyLayer`](idpflare_layers::ApiKeyLayer) is pinned to.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(crate) fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    pub(crate) fn host_and_port(&self) -> &http::uri::Authority {
        &self.authority
    }

    pub(crate) fn base_path(&self) -> &str {
        &self.base_path
    }
}

/// Whether `host` can only be this machine. Names below `.localhost` should be too (RFC 6761,
/// section 6.3), but not every resolver knows, and then another machine gets the key.
pub(crate) fn is_loopback(host: &str) -> bool {
    match address(host) {
        Some(address) => address.to_canonical().is_loopback(),
        None => host.eq_ignore_ascii_case("localhost"),
    }
}

fn address(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[') {
        Some(bracketed) => bracketed.strip_suffix(']')?.parse().map(IpAddr::V6).ok(),
        None => host.parse().map(IpAddr::V4).ok(),
    }
}

fn refused(why: &str) -> Error {
    Error::configuration(format!("the authority {why}"))
}

impl FromStr for Authority {
    type Err = Error;

    fn from_str(authority: &str) -> Result<Self, Error> {
        Self::parse(authority, false)
    }
}

impl TryFrom<&str> for Authority {
    type Error = Error;

    fn try_from(authority: &str) -> Result<Self, Error> {
        authority.parse()
    }
}

impl TryFrom<String> for Authority {
    type Error = Error;

    fn try_from(authority: String) -> Result<Self, Error> {
        authority.parse()
    }
}

impl From<&Authority> for Authority {
    fn from(authority: &Authority) -> Self {
        authority.clone()
    }
}

impl TryFrom<&String> for Authority {
    type Error = Error;

    fn try_from(authority: &String) -> Result<Self, Error> {
        authority.parse()
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = self.base_path.strip_suffix(API_BASE).unwrap_or_default();
        write!(f, "{}://{}{prefix}", self.scheme, self.authority)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({self})")
    }
}
