use std::error::Error;
use std::fmt;

/// What did not go as a [`ReplayService`](super::ReplayService)'s script says.
///
/// It shows requests by their methods, paths, queries and operations; nothing of headers or bodies
/// but where they differ.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplayError {
    /// A request came that was not expected.
    #[non_exhaustive]
    Unexpected {
        /// The request that came.
        request: String,
        /// What would have been right: the next one, or where the order is free, each that is left.
        /// Empty where none was expected any more.
        expected: Vec<String>,
        /// Where the request differs from the expected one; `None` where there is not just one.
        difference: Option<String>,
    },
    /// Requests that were expected have never come.
    #[non_exhaustive]
    Missing {
        /// These requests.
        expected: Vec<String>,
    },
    /// A clone of the service was called without having been asked whether it is ready.
    #[non_exhaustive]
    NotReady {
        /// The request that it was called with.
        request: String,
    },
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unexpected {
                request,
                expected,
                difference,
            } => {
                write!(f, "{request} came, where ")?;
                match &expected[..] {
                    [] => f.write_str("nothing more was expected")?,
                    [only] => write!(f, "{only} was expected")?,
                    several => write!(f, "one of these was expected: {}", several.join(", "))?,
                }
                match difference {
                    Some(difference) => write!(f, ": {difference}"),
                    None => Ok(()),
                }
            }
            Self::Missing { expected } => {
                write!(f, "expected, but never came: {}", expected.join(", "))
            }
            Self::NotReady { request } => write!(
                f,
                "{request} came to a clone whose poll_ready had not returned Ready: call the very \
                 clone that was asked"
            ),
        }
    }
}

impl Error for ReplayError {}
