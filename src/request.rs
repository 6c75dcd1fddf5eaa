mod options;
mod query;
pub(crate) mod reserved;

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use form_urlencoded::byte_serialize;
use http::header::{CONTENT_TYPE, HeaderValue};
use http_body_util::Full;
use idpflare_layers::Operation;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use crate::decode::DecodeError;
use crate::one_line::one_line;
use crate::segment;
use crate::{Authority, Error};

pub use options::{CallOptions, WithOptions};
pub use query::QueryValue;

/// Everything but the unreserved characters of RFC 3986, section 2.3: `%` is encoded too, which is
/// what makes the encoding injective.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Room for a query, in bytes, before more is needed.
const QUERY_LENGTH: usize = 96;

/// One operation of the API, with its arguments: what it sends, and how its reply is read.
///
/// The structs that are named like the operations implement it, such as
/// [`GetUser`](crate::GetUser). Implement it yourself for an operation that this crate does not
/// know yet:
///
/// ```
/// use bytes::Bytes;
/// use http::Method;
/// use idpflare_management::{
///     ApiRequest, Authority, DecodeError, EncodeError, Encoder, Operation, Safety, UserId,
///     decode_json,
/// };
///
/// struct GetUserAvatar {
///     user_id: UserId,
/// }
///
/// #[derive(serde::Deserialize)]
/// struct Avatar {
///     url: String,
/// }
///
/// impl ApiRequest for GetUserAvatar {
///     type Response = Avatar;
///
///     const OPERATION: &'static Operation = &Operation::new(
///         "getUserAvatar",
///         Method::GET,
///         "/users/{user_id}/avatar",
///         Safety::ReadOnly,
///     );
///
///     fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), EncodeError> {
///         encoder.id("user_id", &self.user_id)
///     }
///
///     fn decode(reply: &http::Response<Bytes>) -> Result<Avatar, DecodeError> {
///         decode_json(reply, Self::OPERATION)
///     }
/// }
///
/// let authority: Authority = "https://idp.example.com".parse()?;
/// let user_id = UserId::from("usr_7");
/// let request = GetUserAvatar { user_id }.to_http(&authority)?;
/// assert_eq!(request.uri(), "https://idp.example.com/api/v1/users/usr_7/avatar");
/// # Ok::<(), idpflare_management::Error>(())
/// ```
pub trait ApiRequest {
    /// What a successful reply is decoded to.
    type Response;

    /// What is known of the operation before any request is built.
    const OPERATION: &'static Operation;

    /// Writes the identifiers, the query and the body of this request, in this order.
    ///
    /// # Errors
    ///
    /// Where an argument can't be sent, such as an id that is empty.
    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), EncodeError>;

    /// Reads a successful reply: one with a status of 2xx.
    ///
    /// # Errors
    ///
    /// Where the body is not what the protocol says.
    fn decode(reply: &http::Response<Bytes>) -> Result<Self::Response, DecodeError>;

    /// The same request, sent in another way: with a deadline of its own, other retries, more
    /// headers. See [`CallOptions`].
    fn with(self, options: CallOptions) -> WithOptions<Self>
    where
        Self: Sized,
    {
        WithOptions::new(self, options)
    }

    /// The whole HTTP request, for the instance at `authority`. Nothing is sent.
    ///
    /// It has the operation among its extensions, and no `Authorization` yet. Beware of its `Debug`:
    /// that of [`Full`] shows the body, which holds the password where one is sent.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Encode`](crate::ErrorKind::Encode) where an argument can't be sent.
    fn to_http(&self, authority: &Authority) -> Result<http::Request<Full<Bytes>>, Error> {
        let mut encoder = Encoder::new(authority, Self::OPERATION);
        self.encode(&mut encoder)
            .and_then(|()| encoder.finish())
            .map_err(|error| Error::encode(Self::OPERATION, &error))
    }
}

impl<R: ApiRequest + ?Sized> ApiRequest for &R {
    type Response = R::Response;

    const OPERATION: &'static Operation = R::OPERATION;

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), EncodeError> {
        (**self).encode(encoder)
    }

    fn decode(reply: &http::Response<Bytes>) -> Result<Self::Response, DecodeError> {
        R::decode(reply)
    }
}

/// Builds the request of one operation: fills the holes of its path template, in order, then adds
/// the query, then the body.
pub struct Encoder<'a> {
    authority: &'a Authority,
    operation: &'static Operation,
    path: String,
    /// What of the template is not in `path` yet.
    template: &'static str,
    has_query: bool,
    body: Option<Bytes>,
    /// Boxed, as what most requests are without.
    options: Option<Box<CallOptions>>,
}

impl<'a> Encoder<'a> {
    fn new(authority: &'a Authority, operation: &'static Operation) -> Self {
        Self {
            authority,
            operation,
            path: String::new(),
            template: operation.path_template,
            has_query: false,
            body: None,
            options: None,
        }
    }

    /// Fills the next hole of the path template, which is called `name`, with an identifier: one
    /// percent-encoded segment (RFC 3986, section 2.1).
    ///
    /// Servers and proxies decode paths before they route them, some of them twice. So an id that could
    /// become another path is refused before anything is sent. Every other id is possible, such as
    /// `auth0|123`, `100%`, `a%20b` and `user@host`, and different ids make different segments.
    ///
    /// # Errors
    ///
    /// If `id`, as it is or percent-decoded any number of times,
    ///
    /// - contains `/`, `\`, `?`, `#` or a control character, or an overlong UTF-8 encoding, such as
    ///   `%c0%af` for a slash;
    /// - is empty, `.` or `..`, also before a `;`, which begins parameters on some servers.
    ///
    /// If the next hole has another name.
    pub fn id(&mut self, name: &str, id: &impl AsRef<str>) -> Result<(), EncodeError> {
        let id = id.as_ref();
        let Some((literal, hole, rest)) =
            next_hole(self.template).filter(|(_, hole, _)| *hole == name)
        else {
            return Err(EncodeError(format!(
                "{} has no place for {name} here: its path is {}",
                self.operation.id, self.operation.path_template
            )));
        };
        segment::check(id).map_err(|fault| {
            EncodeError(format!(
                "{hole} {fault}: {:?} could reach another operation; pass an id as the server returned it",
                one_line(id)
            ))
        })?;
        let segment = Cow::from(utf8_percent_encode(id, SEGMENT));
        self.reserve(literal.len() + segment.len() + rest.len());
        self.path.push_str(literal);
        self.path.push_str(&segment);
        self.template = rest;
        Ok(())
    }

    /// Appends a query parameter in the WHATWG form encoding. `None` is not sent; an empty string
    /// is.
    ///
    /// # Errors
    ///
    /// Where a hole of the path template is not filled yet.
    pub fn query(&mut self, name: &str, value: Option<impl QueryValue>) -> Result<(), EncodeError> {
        let Some(value) = value else {
            return Ok(());
        };
        self.complete_path(QUERY_LENGTH)?;
        self.path.push(if self.has_query { '&' } else { '?' });
        self.has_query = true;
        self.path.extend(byte_serialize(name.as_bytes()));
        self.path.push('=');
        value.append_to(&mut self.path);
        Ok(())
    }

    /// Makes `body` the request's body, as JSON.
    ///
    /// # Errors
    ///
    /// Where `body` can't be serialised.
    pub fn json<T: Serialize + ?Sized>(&mut self, body: &T) -> Result<(), EncodeError> {
        // The message of a serialiser can quote what it was given.
        let json = serde_json::to_vec(body)
            .map_err(|_| EncodeError(String::from("the body can't be written as JSON")))?;
        self.body = Some(Bytes::from(json));
        Ok(())
    }

    /// Has the request carry `options`. Where there are some already, these win; of two deadlines the
    /// shorter one does.
    ///
    /// # Errors
    ///
    /// Where there are more headers than fit a request.
    pub fn options(&mut self, options: &CallOptions) -> Result<(), EncodeError> {
        self.options.get_or_insert_default().extend(options)
    }

    /// Makes room for `more` bytes behind the path, too.
    fn complete_path(&mut self, more: usize) -> Result<(), EncodeError> {
        if let Some((_, hole, _)) = next_hole(self.template) {
            return Err(EncodeError(format!("{hole} is not given")));
        }
        if !self.has_query {
            self.reserve(self.template.len() + more);
        }
        self.path.push_str(self.template);
        self.template = "";
        Ok(())
    }

    /// Makes room for so many bytes more, and for the base that all paths begin with. No more than
    /// that: what fills a string to the brim becomes [`Bytes`] as it is.
    fn reserve(&mut self, bytes: usize) {
        if self.path.is_empty() {
            let base = self.authority.base_path();
            self.path.reserve_exact(base.len() + bytes);
            self.path.push_str(base);
        } else {
            self.path.reserve(bytes);
        }
    }

    fn finish(mut self) -> Result<http::Request<Full<Bytes>>, EncodeError> {
        self.complete_path(0)?;
        let length = self.path.len();
        let path = http::uri::PathAndQuery::from_maybe_shared(Bytes::from(self.path))
            .map_err(|_| EncodeError(format!("path and query are too long: {length} bytes")))?;
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.authority.scheme().clone());
        parts.authority = Some(self.authority.host_and_port().clone());
        parts.path_and_query = Some(path);
        let uri = http::Uri::from_parts(parts).map_err(|_| {
            EncodeError(format!("the URL is too long: its path has {length} bytes"))
        })?;
        let mut request = http::Request::new(Full::default());
        *request.method_mut() = self.operation.method.clone();
        *request.uri_mut() = uri;
        if let Some(body) = self.body {
            let json = HeaderValue::from_static("application/json");
            request.headers_mut().insert(CONTENT_TYPE, json);
            *request.body_mut() = Full::new(body);
        }
        if let Some(options) = self.options {
            options.apply(&mut request)?;
        }
        request.extensions_mut().insert(self.operation);
        Ok(request)
    }
}

impl fmt::Debug for Encoder<'_> {
    /// Without the query and the body, which can hold what is not for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder")
            .field("operation", &self.operation.id)
            .finish_non_exhaustive()
    }
}

/// What is before the next `{hole}`, its name, and what is behind it.
fn next_hole(template: &'static str) -> Option<(&'static str, &'static str, &'static str)> {
    let (literal, rest) = template.split_once('{')?;
    let (hole, rest) = rest.split_once('}')?;
    Some((literal, hole, rest))
}

/// An argument that can't be sent; it becomes an [`Error`] of kind
/// [`Encode`](crate::ErrorKind::Encode).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodeError(String);

impl EncodeError {
    /// An error that says what is wrong with which argument.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for EncodeError {}
