//! The check of layers: who does not pass, and what it says.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::{Extensions, Request, Response};
use http_body_util::{BodyExt, Full};
use idpflare_management::layers::{BoxError, Call};
use idpflare_management::testing::{
    ContractViolation, assert_layer_contract, check_layer_contract,
};
use idpflare_management::{BoxService, Operation, ReplyBody};
use tokio::sync::Semaphore;
use tower::{Layer, Service};

type HttpRequest = Request<Full<Bytes>>;
type ReplyFuture = Pin<Box<dyn Future<Output = Result<Response<ReplyBody>, BoxError>> + Send>>;

type Keep = fn(&Extensions) -> Extensions;

/// A layer that is wrong in one way.
#[derive(Clone)]
struct Wrong(Fault);

#[derive(Clone)]
enum Fault {
    /// Calls a clone of the service that it has asked.
    CallsClone,
    /// Is always ready, and asks nobody.
    IgnoresReadiness,
    /// Remembers that it is ready, and so do its clones.
    ClonesReadiness,
    /// Asks the service below with a context that leads nowhere.
    ForgetsWaker,
    /// Makes a new request, with only these extensions of the old one.
    KeepsExtensions(Keep),
    /// Makes a new reply, without the extensions of the old one.
    DropsReplyExtensions,
    /// Takes a permit when it is called, and returns it after the reply.
    LosesPermitOfCall(Arc<Semaphore>),
    /// Takes a permit when it is ready, and returns it after the reply.
    LosesPermitOfReadiness(Arc<Semaphore>),
    /// Makes calls on tasks, which go on when nobody waits for them any more.
    Detaches,
    /// Reads bodies on tasks.
    DetachesBody,
    /// Makes a text of an error of the call.
    FlattensErrors,
    /// Makes a text of an error of readiness.
    FlattensErrorsOfReadiness,
    Refuses,
    Hangs,
}

impl Layer<BoxService> for Wrong {
    type Service = WrongService;

    fn layer(&self, inner: BoxService) -> WrongService {
        WrongService {
            inner,
            fault: self.0.clone(),
            is_ready: false,
        }
    }
}

#[derive(Clone)]
struct WrongService {
    inner: BoxService,
    fault: Fault,
    is_ready: bool,
}

impl Service<HttpRequest> for WrongService {
    type Response = Response<ReplyBody>;
    type Error = BoxError;
    type Future = ReplyFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match &self.fault {
            Fault::IgnoresReadiness => {}
            Fault::ClonesReadiness if self.is_ready => {}
            Fault::ForgetsWaker => {
                let nowhere = &mut Context::from_waker(Waker::noop());
                ready!(self.inner.poll_ready(nowhere))?;
            }
            Fault::FlattensErrorsOfReadiness => {
                let outcome = ready!(self.inner.poll_ready(cx));
                outcome.map_err(|error| error.to_string())?;
            }
            Fault::LosesPermitOfReadiness(permits) => {
                ready!(self.inner.poll_ready(cx))?;
                match permits.try_acquire() {
                    _ if self.is_ready => {}
                    Ok(permit) => permit.forget(),
                    Err(_) => return Poll::Pending,
                }
            }
            _ => ready!(self.inner.poll_ready(cx))?,
        }
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: HttpRequest) -> ReplyFuture {
        self.is_ready = false;
        match self.fault.clone() {
            Fault::CallsClone => {
                let mut inner = self.inner.clone();
                Box::pin(async move { inner.call(request).await })
            }
            Fault::KeepsExtensions(kept) => {
                *request.extensions_mut() = kept(request.extensions());
                self.inner.call(request)
            }
            Fault::DropsReplyExtensions => {
                let call = self.inner.call(request);
                Box::pin(async move {
                    let mut reply = call.await?;
                    reply.extensions_mut().clear();
                    Ok(reply)
                })
            }
            Fault::LosesPermitOfCall(permits) => {
                let clone = self.inner.clone();
                let mut inner = std::mem::replace(&mut self.inner, clone);
                Box::pin(async move {
                    permits.acquire().await?.forget();
                    let outcome = inner.call(request).await;
                    permits.add_permits(1);
                    outcome
                })
            }
            Fault::LosesPermitOfReadiness(permits) => {
                let call = self.inner.call(request);
                Box::pin(async move {
                    let outcome = call.await;
                    permits.add_permits(1);
                    outcome
                })
            }
            Fault::Detaches => {
                let call = tokio::spawn(self.inner.call(request));
                Box::pin(async move { call.await? })
            }
            Fault::DetachesBody => {
                let call = self.inner.call(request);
                Box::pin(async move {
                    let (head, body) = call.await?.into_parts();
                    let body = tokio::spawn(body.collect()).await??.to_bytes();
                    Ok(Response::from_parts(head, body.into()))
                })
            }
            Fault::FlattensErrors => {
                let call = self.inner.call(request);
                Box::pin(async move { Ok(call.await.map_err(|error| error.to_string())?) })
            }
            Fault::Refuses => Box::pin(async { Err("not today".into()) }),
            Fault::Hangs => Box::pin(pending()),
            Fault::IgnoresReadiness
            | Fault::ClonesReadiness
            | Fault::ForgetsWaker
            | Fault::FlattensErrorsOfReadiness => self.inner.call(request),
        }
    }
}

async fn violation(fault: Fault) -> ContractViolation {
    let outcome = check_layer_contract(Wrong(fault)).await;
    outcome.expect_err("it breaks a rule")
}

#[tokio::test(start_paused = true)]
async fn who_calls_what_is_not_ready_is_caught() {
    for fault in [
        Fault::CallsClone,
        Fault::IgnoresReadiness,
        Fault::ClonesReadiness,
    ] {
        let violation = violation(fault).await;
        assert!(
            matches!(violation, ContractViolation::CalledUnready),
            "{violation:?}"
        );
        assert!(
            violation
                .to_string()
                .starts_with("readiness: it called a service")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn who_wakes_nobody_is_caught() {
    let violation = violation(Fault::ForgetsWaker).await;
    assert!(
        matches!(violation, ContractViolation::NotWoken),
        "{violation:?}"
    );
    assert!(
        violation
            .to_string()
            .starts_with("readiness: when the service below became ready")
    );
}

#[tokio::test(start_paused = true)]
async fn who_drops_extensions_is_caught() {
    fn none(_: &Extensions) -> Extensions {
        Extensions::new()
    }
    fn operation(of: &Extensions) -> Extensions {
        let mut kept = Extensions::new();
        kept.insert(*of.get::<&'static Operation>().expect("an operation"));
        kept
    }
    fn operation_and_call(of: &Extensions) -> Extensions {
        let mut kept = operation(of);
        kept.insert(of.get::<Call>().expect("a call").clone());
        kept
    }
    fn all_but_call(of: &Extensions) -> Extensions {
        let mut kept = of.clone();
        kept.insert(Call::new());
        kept
    }
    let cases: [(Keep, &str); 4] = [
        (none, "&'static Operation"),
        (operation, "Call"),
        (all_but_call, "Call"),
        (
            operation_and_call,
            "an extension of a type that the layer does not know",
        ),
    ];
    for (kept, name) in cases {
        let violation = violation(Fault::KeepsExtensions(kept)).await;
        assert_eq!(
            violation.to_string(),
            format!(
                "extensions: the request came without {name}. Keep the extensions of the request, \
                 also where a new one is made of it"
            )
        );
    }
}

#[tokio::test(start_paused = true)]
async fn who_drops_extensions_of_replies_is_caught() {
    let violation = violation(Fault::DropsReplyExtensions).await;
    assert!(
        matches!(violation, ContractViolation::LostReplyExtension),
        "{violation:?}"
    );
    let text = violation.to_string();
    assert!(
        text.starts_with("extensions: the reply came without"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn who_leaks_on_cancellation_is_caught() {
    let permits = || Arc::new(Semaphore::new(8));
    for (fault, place) in [
        (
            Fault::LosesPermitOfCall(permits()),
            "while it waited for the reply",
        ),
        (
            Fault::LosesPermitOfReadiness(permits()),
            "when it was ready and not called",
        ),
        (Fault::Detaches, "while it waited for the reply"),
        (Fault::DetachesBody, "while the body was read"),
    ] {
        let violation = violation(fault).await;
        let ContractViolation::Leaked { when, .. } = violation else {
            panic!("{violation:?}");
        };
        assert_eq!(when, place);
        let text = violation.to_string();
        assert!(
            text.starts_with("cancellation: calls that were dropped "),
            "{text}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn who_loses_errors_is_caught() {
    for (fault, what) in [
        (Fault::FlattensErrors, "was called"),
        (Fault::FlattensErrorsOfReadiness, "was not ready"),
    ] {
        let violation = violation(fault).await;
        assert_eq!(
            violation.to_string(),
            format!(
                "errors: the service below failed when it {what}, and that error was not \
                 returned. Return it, or one that has it as its source"
            )
        );
    }
}

#[tokio::test(start_paused = true)]
async fn who_lets_nothing_through_can_not_be_checked() {
    let refused = violation(Fault::Refuses).await;
    let source = std::error::Error::source(&refused).expect("what it failed with");
    assert_eq!(source.to_string(), "not today");
    let hung = violation(Fault::Hangs).await;
    assert!(matches!(hung, ContractViolation::Refused(None)), "{hung:?}");
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "wrong_layers::Wrong: readiness: it called a service whose poll_ready")]
async fn the_assertion_names_layer_and_rule() {
    assert_layer_contract(Wrong(Fault::CallsClone)).await;
}
