use http::Method;

/// What happens when an operation is performed a second time.
///
/// The first two follow RFC 9110, sections 9.2.1 and 9.2.2, but speak of the operation, not of its
/// method: a `POST` that blocks an account is idempotent, a `POST` that creates one is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Safety {
    /// It changes nothing.
    ReadOnly,
    /// Repeating it leaves the same state, though the second reply may differ from the first.
    Idempotent,
    /// A repeat may act twice.
    Once,
}

/// What is known of an operation before any request is built.
///
/// A client puts `&'static Operation` into the extensions of each request that it builds, so that
/// every layer, also one that you write, can label, allow or refuse it:
///
/// ```
/// use http::Method;
/// use idpflare_layers::{Operation, Safety};
///
/// const GET_USER: &Operation =
///     &Operation::new("getUser", Method::GET, "/users/{user_id}", Safety::ReadOnly)
///         .with_scope("users:read");
///
/// let mut request = http::Request::get("https://api.example.com/users/7").body(())?;
/// request.extensions_mut().insert(GET_USER);
///
/// let operation = Operation::of(&request);
/// assert_eq!(operation.map(|operation| operation.id), Some("getUser"));
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Operation {
    /// The protocol's own name of the operation, such as `deleteUser`: one of a small, fixed set,
    /// so a good label for metrics and spans.
    pub id: &'static str,
    /// The method of its requests.
    pub method: Method,
    /// The path below the base of the API, with one `{name}` for each identifier in it.
    pub path_template: &'static str,
    /// Whether it may be repeated.
    pub safety: Safety,
    /// The scope that a credential needs for it.
    pub scope: Option<&'static str>,
    /// Whether its reply carries a secret, which must reach no log, span or error text.
    pub sensitive: bool,
}

impl Operation {
    /// An operation that needs no scope and whose reply carries no secret.
    ///
    /// # Panics
    ///
    /// Where `path_template` does not start with `/`, has an empty segment, or a `{` without its
    /// `}` in the same segment. In a `const` that is an error of the compiler.
    #[must_use]
    pub const fn new(
        id: &'static str,
        method: Method,
        path_template: &'static str,
        safety: Safety,
    ) -> Self {
        assert!(
            is_template(path_template.as_bytes()),
            "a path template is made of literal segments and of segments that are one whole hole"
        );
        Self {
            id,
            method,
            path_template,
            safety,
            scope: None,
            sensitive: false,
        }
    }

    /// The same, needing `scope`.
    #[must_use]
    pub const fn with_scope(mut self, scope: &'static str) -> Self {
        self.scope = Some(scope);
        self
    }

    /// The same, with a secret in its reply.
    #[must_use]
    pub const fn with_secret_reply(mut self) -> Self {
        self.sensitive = true;
        self
    }

    /// The operation that `request` performs, where the client that built it said so.
    #[must_use]
    pub fn of<B>(request: &http::Request<B>) -> Option<&'static Operation> {
        request.extensions().get::<&'static Operation>().copied()
    }
}

/// Whether each segment is either a literal or one whole `{hole}`.
const fn is_template(template: &[u8]) -> bool {
    if template.is_empty() || template[0] != b'/' {
        return false;
    }
    let mut index = 0;
    while index < template.len() {
        // Here `index` is at a slash: look at the segment behind it.
        let start = index + 1;
        let mut end = start;
        let mut opened = 0;
        let mut closed = 0;
        while end < template.len() && template[end] != b'/' {
            if template[end] == b'{' {
                opened += 1;
            }
            if template[end] == b'}' {
                closed += 1;
            }
            end += 1;
        }
        let length = end - start;
        let literal = length > 0 && opened == 0 && closed == 0;
        let hole = length > 2
            && opened == 1
            && closed == 1
            && template[start] == b'{'
            && template[end - 1] == b'}';
        if !literal && !hole {
            return false;
        }
        index = end;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::is_template;

    #[test]
    fn a_template_is_made_of_literals_and_holes() {
        for good in ["/users", "/users/{user_id}", "/a/{b}/c/{d}"] {
            assert!(is_template(good.as_bytes()), "{good}");
        }
        for bad in [
            "", "users", "/", "/users/", "//", "/{}", "/{a", "/a}", "/x{a}", "/{a}x", "/{a{b}}",
        ] {
            assert!(!is_template(bad.as_bytes()), "{bad}");
        }
    }
}
