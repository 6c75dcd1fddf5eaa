use std::error::Error;
use std::fmt;

use crate::layers::BoxError;

/// Which rule a layer breaks. Its text says how to mend it.
#[derive(Debug)]
#[non_exhaustive]
pub enum ContractViolation {
    /// It does not let a plain request through: it failed with this error, or did not call the
    /// service below, or not in time. The other rules can't be checked then.
    Refused(Option<BoxError>),
    /// It called a service that had not said that it is ready.
    CalledUnready,
    /// It did not wake who waited when the service below became ready.
    NotWoken,
    /// It took an extension away from the request.
    LostExtension(&'static str),
    /// It took an extension away from the reply. Layers further in tell others there, such as that
    /// there is a newer key.
    LostReplyExtension,
    /// It did not pass on how the service below failed.
    #[non_exhaustive]
    LostError {
        /// What the service below failed at.
        when: &'static str,
    },
    /// After calls were given up, the next one did not get through.
    #[non_exhaustive]
    Leaked {
        /// When they were given up.
        when: &'static str,
    },
}

impl fmt::Display for ContractViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(Some(_)) => {
                f.write_str("it fails a request that the service below answers")
            }
            Self::Refused(None) => {
                f.write_str("it does not let a request through that the service below answers")
            }
            Self::CalledUnready => f.write_str(
                "readiness: it called a service whose poll_ready had not returned Ready. A clone \
                 has to be asked anew: call the instance that was asked, and leave the clone in its \
                 place (std::mem::replace)",
            ),
            Self::NotWoken => f.write_str(
                "readiness: when the service below became ready, nobody was woken. Pass the context \
                 of poll_ready on to the service below",
            ),
            Self::LostExtension(name) => write!(
                f,
                "extensions: the request came without {name}. Keep the extensions of the request, \
                 also where a new one is made of it"
            ),
            Self::LostReplyExtension => f.write_str(
                "extensions: the reply came without one that the service below had put there. Keep \
                 the extensions of the reply, also where a new one is made of it",
            ),
            Self::LostError { when } => write!(
                f,
                "errors: the service below failed when it {when}, and that error was not returned. \
                 Return it, or one that has it as its source"
            ),
            Self::Leaked { when } => write!(
                f,
                "cancellation: calls that were dropped {when} have left something behind, so that \
                 the next one did not get through. Let go of permits and tasks in the Drop of what \
                 the future holds"
            ),
        }
    }
}

impl Error for ContractViolation {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Refused(Some(error)) => Some(&**error),
            _ => None,
        }
    }
}
