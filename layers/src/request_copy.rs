use http::{HeaderMap, Method, Request, Uri, Version};

use crate::unsent::Tracked;
use crate::{Call, Operation};

/// A copy of a request, to be sent again.
///
/// To copy extensions takes an allocation for each of them and two more, for what is hardly ever
/// sent. Where they are only those that each request has, they are made anew from what they hold.
pub(crate) struct RequestCopy<B> {
    method: Method,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
    body: B,
    extensions: Extensions,
}

enum Extensions {
    Usual {
        call: Call,
        operation: Option<&'static Operation>,
        tracked: Option<Tracked>,
    },
    Others(http::Extensions),
}

impl<B: Clone> RequestCopy<B> {
    /// A copy of `request`, which is an attempt of `call` and performs `operation`.
    pub(crate) fn of(
        request: &Request<B>,
        operation: Option<&'static Operation>,
        call: &Call,
    ) -> Self {
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            headers: request.headers().clone(),
            body: request.body().clone(),
            extensions: Extensions::of(request, operation, call),
        }
    }

    pub(crate) fn to_request(&self) -> Request<B> {
        let mut request = Request::new(self.body.clone());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = self.version;
        *request.headers_mut() = self.headers.clone();
        *request.extensions_mut() = self.extensions.to_http();
        request
    }
}

impl Extensions {
    fn of<B>(request: &Request<B>, operation: Option<&'static Operation>, call: &Call) -> Self {
        let tracked = Tracked::of(request);
        let usual = 1 + usize::from(operation.is_some()) + usize::from(tracked.is_some());
        if request.extensions().len() == usual {
            Self::Usual {
                call: call.clone(),
                operation,
                tracked: tracked.cloned(),
            }
        } else {
            Self::Others(request.extensions().clone())
        }
    }

    fn to_http(&self) -> http::Extensions {
        match self {
            Self::Usual {
                call,
                operation,
                tracked,
            } => {
                let mut extensions = http::Extensions::new();
                extensions.insert(call.clone());
                if let Some(tracked) = tracked {
                    extensions.insert(tracked.clone());
                }
                if let Some(operation) = operation {
                    extensions.insert(*operation);
                }
                extensions
            }
            Self::Others(extensions) => extensions.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Safety;

    const OPERATION: &Operation =
        &Operation::new("getUser", Method::GET, "/users/{user_id}", Safety::ReadOnly);

    #[derive(Clone, Debug, PartialEq)]
    struct Others(u8);

    #[test]
    fn a_copy_has_all_that_the_request_has() {
        for bits in 0..8 {
            let (operation, others, tracked) = (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0);
            let mut request = Request::post("https://api.example.com/users?a=b")
                .version(Version::HTTP_2)
                .header("x-tenant", "7")
                .body("body")
                .expect("a request");
            let call = Call::of_or_insert(&mut request);
            if operation {
                request.extensions_mut().insert(OPERATION);
            }
            if others {
                request.extensions_mut().insert(Others(7));
            }
            if tracked {
                call.track_unsent(&mut request);
            }

            let copy = RequestCopy::of(&request, Operation::of(&request), &call);
            call.record_send(crate::Delivery::Unknown);
            let again = copy.to_request();
            assert_eq!(again.method(), request.method());
            assert_eq!(again.uri(), request.uri());
            assert_eq!(again.version(), request.version());
            assert_eq!(again.headers(), request.headers());
            assert_eq!(again.body(), request.body());
            assert_eq!(again.extensions().len(), request.extensions().len());
            assert_eq!(Operation::of(&again), Operation::of(&request));
            assert_eq!(again.extensions().get(), others.then_some(&Others(7)));
            // The request, the copy, and what was made of that.
            assert_eq!(call.unsent_requests(), if tracked { 3 } else { 0 });
            assert_eq!(
                Call::of(&again).map(Call::attempts),
                Some(1),
                "the same call"
            );
        }
    }
}
