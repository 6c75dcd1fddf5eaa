/// What went wrong, roughly: enough to decide what to do.
///
/// It is the kind of the last attempt. Whether an earlier one may have acted is told by
/// [`Error::delivery`](crate::Error::delivery), which speaks for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A client can't be made of what was given. Nothing was sent.
    Configuration,
    /// An argument can't be sent. Nothing was sent.
    Encode,
    /// There was no credential for the request: its provider failed, or it does not belong to where
    /// the request was going. The last attempt sent nothing.
    Credential,
    /// No connection could be made: name lookup, TCP, proxy tunnel or TLS. The last attempt sent
    /// nothing.
    Connect,
    /// The connection failed before a reply arrived; see [`Error::delivery`](crate::Error::delivery).
    Transport,
    /// A limit of time ran out; see [`Error::timeout`](crate::Error::timeout).
    Timeout,
    /// The client's own rate limit asks for a longer wait than the call has time for; see
    /// [`Error::retry_after`](crate::Error::retry_after). The last attempt sent nothing.
    RateLimited,
    /// The server answered with a redirect, which is never followed: the authority is probably not
    /// the instance's own address.
    Redirect,
    /// The server answered with any other status outside of 2xx.
    Api,
    /// The reply is larger than the client's limit.
    TooLarge,
    /// The reply broke off before its end.
    Truncated,
    /// The server answered with 2xx, but with a body that is not what the protocol says.
    Decode,
    /// The pages of a listing repeat the rows of earlier ones; see [`Pager`](crate::Pager).
    NoProgress,
    /// A service or layer that this crate does not know failed; its error is the source.
    Service,
}
