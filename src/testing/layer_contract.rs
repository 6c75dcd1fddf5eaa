//! What Tower, and this crate, expect of a layer.

mod probe;
mod violation;

use std::future::poll_fn;
use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::Full;
use tokio::task::yield_now;
use tokio::time::timeout;
use tower::{Service, ServiceExt};

use probe::{Behaviour, Marker, Probe, ProbeError};
pub use violation::ContractViolation;

use crate::layers::{BoxError, Call, Operation, find_source};
use crate::{ApiRequest, BoxService, GetUser, StackLayer};

/// How long a call may take that nothing holds up.
const LIMIT: Duration = Duration::from_secs(10);

/// How many calls are given up at each point. A layer that hands out more permits than that can
/// lose them unnoticed.
const CANCELLATIONS: usize = 256;

/// After so many turns, tasks in the background have done what they had to do.
const TURNS: usize = 32;

/// Checks a layer of your own for what every layer between a client and its transport keeps to.
///
/// | rule | how it is broken most often |
/// |---|---|
/// | what is called is the very instance that was asked whether it is ready | `self.inner.clone()` inside of `call`; `#[derive(Clone)]` on a service that remembers being ready |
/// | who waits for a service that is not ready is woken when it is | `poll_ready` with a context of one's own |
/// | a call that is given up, and a ready service that is dropped, leave nothing behind | a permit that is returned at the end of an `async` block; a task that goes on |
/// | the request's extensions go on, [`Operation`] and [`Call`] among them | a new request from the parts of the old one |
/// | errors go on, in the chain of [`source`](std::error::Error::source)s at least | `error.to_string()` |
///
/// That the layer's service is `Clone + Send + Sync`, and its futures are `Send`, the compiler checks:
/// see [`StackLayer`].
///
/// The layer is put around a service that watches it, and which answers
/// `GET https://idp.example.com/api/v1/users/usr_7` with 200. It must let such a request through, and
/// about a thousand of them within seconds. A call that hangs is waited for: with the clock paused
/// (`start_paused = true`) that takes no time.
///
/// # Errors
///
/// The first rule that is found broken.
///
/// # Panics
///
/// Outside of a tokio runtime with its time enabled.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use idpflare_management::testing::check_layer_contract;
/// use tower::limit::ConcurrencyLimitLayer;
///
/// check_layer_contract(ConcurrencyLimitLayer::new(8)).await?;
/// # Ok(())
/// # }
/// ```
pub async fn check_layer_contract(layer: impl StackLayer) -> Result<(), ContractViolation> {
    let layer: &dyn StackLayer = &layer;
    lets_a_request_through(layer).await?;
    calls_what_is_ready(layer).await?;
    waits_until_it_is_ready(layer).await?;
    passes_errors_on(layer).await?;
    leaves_nothing_behind(layer).await
}

/// Asserts that a layer of your own keeps to the rules of [`check_layer_contract`].
///
/// ```
/// # use tower::layer::util::Identity as MyLayer;
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use idpflare_management::testing::assert_layer_contract;
///
/// // In a `#[tokio::test(start_paused = true)]`:
/// assert_layer_contract(MyLayer::new()).await;
/// # }
/// ```
///
/// # Panics
///
/// Where it breaks one, with the name of the rule. Outside of a tokio runtime with its time enabled.
#[expect(clippy::panic, reason = "it is there to assert")]
pub async fn assert_layer_contract<L: StackLayer>(layer: L) {
    if let Err(violation) = check_layer_contract(layer).await {
        panic!("{}: {violation}", std::any::type_name::<L>());
    }
}

/// The layer around a probe that at most so many calls use at a time.
fn around_probe(layer: &dyn StackLayer, capacity: usize) -> (BoxService, Probe) {
    let probe = Probe::new(capacity);
    (layer.wrap(BoxService::new(probe.service())), probe)
}

async fn lets_a_request_through(layer: &dyn StackLayer) -> Result<(), ContractViolation> {
    let (service, probe) = around_probe(layer, 1);
    let (request, call) = request();
    let reply = in_time(service.oneshot(request), &probe).await?;
    let received = probe.received().ok_or(ContractViolation::Refused(None))?;
    let lost = |name| Err(ContractViolation::LostExtension(name));
    if received.get::<&'static Operation>() != Some(&GetUser::OPERATION) {
        return lost("&'static Operation");
    }
    // The probe has recorded a send in the one that it was given.
    if call.attempts() == 0 {
        return lost("Call");
    }
    if received.get::<Marker>().is_none() {
        return lost("an extension of a type that the layer does not know");
    }
    if reply.extensions().get::<Marker>().is_none() {
        return Err(ContractViolation::LostReplyExtension);
    }
    Ok(())
}

async fn calls_what_is_ready(layer: &dyn StackLayer) -> Result<(), ContractViolation> {
    let (mut service, probe) = around_probe(layer, 2);
    for _ in 0..3 {
        // Asking twice is allowed.
        in_time(service.ready(), &probe).await?;
        in_time(service.ready(), &probe).await?;
        // A clone does not share it. Where the layer has only one permit, there is none left.
        let mut clone = service.clone();
        if let Poll::Ready(Ok(_)) = poll_once(pin!(clone.ready())).await {
            in_time(clone.call(request().0), &probe).await?;
        }
        drop(clone);
        let clone = service.clone();
        in_time(service.call(request().0), &probe).await?;
        in_time(clone.oneshot(request().0), &probe).await?;
    }
    Ok(())
}

/// What comes of a call, or of the wait for readiness, that nothing holds up.
async fn in_time<T>(
    outcome: impl Future<Output = Result<T, BoxError>>,
    probe: &Probe,
) -> Result<T, ContractViolation> {
    let outcome = timeout(LIMIT, outcome).await;
    // This comes first: what else went wrong follows from it.
    probe.verdict()?;
    match outcome {
        Ok(outcome) => outcome.map_err(|error| ContractViolation::Refused(Some(error))),
        Err(_) => Err(ContractViolation::Refused(None)),
    }
}

async fn waits_until_it_is_ready(layer: &dyn StackLayer) -> Result<(), ContractViolation> {
    let (service, probe) = around_probe(layer, 1);
    probe.behave(Behaviour::NeverReady);
    // On a task of its own, so that it is polled again only where somebody has woken it.
    let mut call = tokio::spawn(service.oneshot(request().0));
    settle().await;
    probe.verdict()?;
    probe.behave(Behaviour::Replies);
    let outcome = timeout(LIMIT, &mut call).await;
    call.abort();
    probe.verdict()?;
    match outcome {
        // A layer that sheds load need not wait.
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_) => Ok(()),
        },
        Err(_) => Err(ContractViolation::NotWoken),
    }
}

async fn passes_errors_on(layer: &dyn StackLayer) -> Result<(), ContractViolation> {
    for (behaviour, when) in [
        (Behaviour::FailsReadiness, "was not ready"),
        (Behaviour::FailsInCall, "was called"),
    ] {
        let (service, probe) = around_probe(layer, 1);
        probe.behave(behaviour);
        let outcome = timeout(LIMIT, service.oneshot(request().0)).await;
        probe.verdict()?;
        let is_kept = match &outcome {
            Ok(Err(error)) => find_source::<ProbeError>(&**error).is_some(),
            _ => false,
        };
        if !is_kept {
            return Err(ContractViolation::LostError { when });
        }
    }
    Ok(())
}

async fn leaves_nothing_behind(layer: &dyn StackLayer) -> Result<(), ContractViolation> {
    for (behaviour, when) in [
        (Behaviour::Replies, "when it was ready and not called"),
        (Behaviour::NeverReady, "while it waited until it is ready"),
        (Behaviour::HangsInCall, "while it waited for the reply"),
        (Behaviour::HangsInBody, "while the body was read"),
    ] {
        let (service, probe) = around_probe(layer, 1);
        probe.behave(behaviour);
        for round in 0..CANCELLATIONS {
            let mut service = service.clone();
            let is_ready = matches!(poll_once(pin!(service.ready())).await, Poll::Ready(Ok(_)));
            if is_ready && behaviour != Behaviour::Replies {
                give_up(&mut service, round % 4).await;
            }
            drop(service);
            yield_now().await;
        }
        settle().await;
        probe.verdict()?;
        probe.behave(Behaviour::Replies);
        let outcome = timeout(LIMIT, service.oneshot(request().0)).await;
        probe.verdict()?;
        if !matches!(outcome, Ok(Ok(_))) {
            return Err(ContractViolation::Leaked { when });
        }
    }
    Ok(())
}

/// Calls `service`, and drops the call after so many polls.
async fn give_up(service: &mut BoxService, polls: usize) {
    let mut reply = service.call(request().0);
    for _ in 0..polls {
        if poll_once(reply.as_mut()).await.is_ready() {
            break;
        }
    }
}

/// The request that layers are checked with, and the call that it is an attempt of.
fn request() -> (Request<Full<Bytes>>, Call) {
    let mut request = Request::new(Full::default());
    *request.uri_mut() = Uri::from_static("https://idp.example.com/api/v1/users/usr_7");
    request.extensions_mut().insert(GetUser::OPERATION);
    request.extensions_mut().insert(Marker);
    let call = Call::of_or_insert(&mut request);
    (request, call)
}

async fn poll_once<F: Future + ?Sized>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

async fn settle() {
    for _ in 0..TURNS {
        yield_now().await;
    }
}
