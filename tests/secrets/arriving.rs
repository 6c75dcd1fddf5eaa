//! The secrets that a server makes are not known before they arrive, and what has arrived of them
//! may be only a part.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame};
use idpflare_management::layers::BoxError;
use idpflare_management::{BoxService, ReplyBody};
use tower::ServiceBuilder;

use crate::witness::Notes;

/// How a secret of the fake begins that is shown as the prefix of a key: with so many characters.
const SHOWN: usize = "idk_01234567".len();
/// Less than this is not a secret yet.
const LEAST: usize = SHOWN + 8;

/// The members of replies that are secret.
const MEMBERS: [&str; 2] = ["\"raw_key\":\"", "\"client_secret\":\""];

/// Makes a secret of the fake's known.
pub(crate) fn note_secret(notes: &Notes, secret: &str) {
    notes.secret("a secret of the fake's", &secret[SHOWN..]);
}

/// Makes known which secrets come out of `transport`.
pub(crate) fn noting_secrets(transport: &BoxService, notes: &Notes) -> BoxService {
    let notes = notes.clone();
    let wrap = move |reply: Response<ReplyBody>| {
        reply.map(|body| Arriving {
            body,
            so_far: String::new(),
            notes: notes.clone(),
        })
    };
    let service = ServiceBuilder::new().map_response(wrap);
    BoxService::new(service.service(transport.clone()))
}

struct Arriving {
    body: ReplyBody,
    so_far: String,
    notes: Notes,
}

impl Arriving {
    fn look(&self) {
        for member in MEMBERS {
            let Some((_, rest)) = self.so_far.split_once(member) else {
                continue;
            };
            let arrived = rest.split('"').next().unwrap_or_default();
            if arrived.len() >= LEAST {
                note_secret(&self.notes, arrived);
            }
        }
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.so_far.push_str(String::from_utf8_lossy(data).trim());
            self.look();
        }
        Poll::Ready(frame)
    }
}
