//! The order of the layers between a client and its transport, as data.

mod boxed;
mod outgoing;
mod standard;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use idpflare_layers::BoxError;
use tower::{Layer, Service};

use crate::Error;
pub use boxed::BoxService;
pub(crate) use standard::Settings;

/// An ordered list of named layers, outermost first, which can be looked at and changed.
///
/// [`ClientBuilder::stack`](crate::ClientBuilder::stack) hands out the standard one. Any layer goes
/// in as it is whose service is `Clone + Send + Sync` and takes requests with a [`Full`] body: what
/// it returns is wrapped again on insertion.
///
/// ```
/// # fn main() -> Result<(), idpflare_management::Error> {
/// # let fake = idpflare_management::testing::FakeIdpflare::new();
/// use idpflare_management::{Client, Stack};
/// use tower::limit::ConcurrencyLimitLayer;
///
/// let client = Client::builder("https://idp.example.com")
///     .api_key("idk_…".replace('…', "example"))
///     .stack(|stack| {
///         stack.insert_after(Stack::DEADLINE, "concurrency", ConcurrencyLimitLayer::new(8))
///     })
///     .build_with(fake.service())?;
/// # Ok(())
/// # }
/// ```
///
/// No order breaks what the layers promise together: each send counts against the limit of attempts,
/// every wait ends at the deadline, and the key is in no span. What moving a layer does change is in
/// its own documentation.
#[derive(Clone)]
#[must_use = "a stack does nothing until a client is built with it"]
pub struct Stack {
    slots: Vec<Slot>,
    deadline: Option<Duration>,
}

#[derive(Clone)]
struct Slot {
    name: String,
    layer: Arc<dyn StackLayer>,
    /// Whether it is not of the standard stack.
    is_other: bool,
}

impl Stack {
    /// The slot of [`CallSpanLayer`](idpflare_layers::CallSpanLayer).
    pub const CALL_SPAN: &'static str = "call span";
    /// The slot of [`DeadlineLayer`](idpflare_layers::DeadlineLayer).
    pub const DEADLINE: &'static str = "deadline";
    /// The slot of [`RetryLayer`](idpflare_layers::RetryLayer).
    pub const RETRY: &'static str = "retry";
    /// The slot of [`RateLimitLayer`](idpflare_layers::RateLimitLayer).
    pub const RATE_LIMIT: &'static str = "rate limit";
    /// The slot of [`AttemptTimeoutLayer`](idpflare_layers::AttemptTimeoutLayer).
    pub const ATTEMPT_TIMEOUT: &'static str = "attempt timeout";
    /// The slot of [`AttemptSpanLayer`](idpflare_layers::AttemptSpanLayer).
    pub const ATTEMPT_SPAN: &'static str = "attempt span";
    /// The slot of [`ApiKeyLayer`](idpflare_layers::ApiKeyLayer).
    pub const AUTH: &'static str = "auth";
    /// The slot of [`CollectLayer`](idpflare_layers::CollectLayer).
    pub const COLLECT: &'static str = "collect";

    /// The names of the slots, outermost first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.slots.iter().map(|slot| slot.name.as_str())
    }

    /// Puts `layer`, called `name`, directly outside of the slot `before`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) where there is no slot
    /// `before`, or one called `name` already. The other methods fail likewise.
    pub fn insert_before(
        self,
        before: &str,
        name: impl Into<String>,
        layer: impl StackLayer,
    ) -> Result<Self, Error> {
        let position = self.position(before)?;
        self.insert(position, name.into(), layer)
    }

    /// Puts `layer`, called `name`, directly inside of the slot `after`.
    ///
    /// # Errors
    ///
    /// See [`insert_before`](Self::insert_before).
    pub fn insert_after(
        self,
        after: &str,
        name: impl Into<String>,
        layer: impl StackLayer,
    ) -> Result<Self, Error> {
        let position = self.position(after)? + 1;
        self.insert(position, name.into(), layer)
    }

    /// Puts `layer` into the slot `name`, in place of what is there. Each call has the deadline of
    /// the builder from its start, as long as the slot [`DEADLINE`](Self::DEADLINE) has the layer that
    /// the builder made.
    ///
    /// # Errors
    ///
    /// See [`insert_before`](Self::insert_before).
    pub fn replace(mut self, name: &str, layer: impl StackLayer) -> Result<Self, Error> {
        let position = self.position(name)?;
        self.slots[position].layer = Arc::new(layer);
        self.slots[position].is_other = true;
        self.forget(name);
        Ok(self)
    }

    /// Takes the slot `name` away. What it did is not done any more.
    ///
    /// # Errors
    ///
    /// See [`insert_before`](Self::insert_before).
    pub fn remove(mut self, name: &str) -> Result<Self, Error> {
        let position = self.position(name)?;
        self.slots.remove(position);
        self.forget(name);
        Ok(self)
    }

    /// Moves the slot `name` directly outside of the slot `before`.
    ///
    /// # Errors
    ///
    /// See [`insert_before`](Self::insert_before).
    pub fn move_before(mut self, name: &str, before: &str) -> Result<Self, Error> {
        let from = self.position(name)?;
        let to = self.position(before)?;
        let slot = self.slots.remove(from);
        // Taking it away has moved what was further in.
        self.slots.insert(if from < to { to - 1 } else { to }, slot);
        Ok(self)
    }

    /// Adds the layers that see each call once, and those that see each attempt.
    pub(crate) fn with_layers(self, layers: Layers, attempts: Layers) -> Result<Self, Error> {
        let mut stack = self.with_layers_at(0, layers);
        let inside = stack.position(Self::RETRY)? + 1;
        stack = stack.with_layers_at(inside, attempts);
        Ok(stack)
    }

    fn with_layers_at(mut self, position: usize, layers: Layers) -> Self {
        for (index, (name, layer)) in layers.0.into_iter().enumerate() {
            let name = self.free_name(name);
            let slot = Slot {
                name,
                layer,
                is_other: true,
            };
            self.slots.insert(position + index, slot);
        }
        self
    }

    fn free_name(&self, name: &str) -> String {
        let mut free = name.to_owned();
        let mut number = 1;
        while self.names().any(|taken| taken == free) {
            number += 1;
            free = format!("{name} {number}");
        }
        free
    }

    /// The stack of these slots, whose names differ.
    fn of(
        slots: impl Iterator<Item = (&'static str, Arc<dyn StackLayer>)>,
        deadline: Duration,
    ) -> Self {
        let slots = slots.map(|(name, layer)| Slot {
            name: name.to_owned(),
            layer,
            is_other: false,
        });
        Self {
            slots: slots.collect(),
            deadline: Some(deadline),
        }
    }

    /// What the slot [`DEADLINE`](Self::DEADLINE) limits calls to, as far as that is known: all waits
    /// of a call have to know it, also those further out.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// Whether a slot has a layer that is not of the standard stack.
    pub(crate) fn has_others(&self) -> bool {
        self.slots.iter().any(|slot| slot.is_other)
    }

    fn forget(&mut self, name: &str) {
        if name == Self::DEADLINE {
            self.deadline = None;
        }
    }

    fn insert(
        mut self,
        position: usize,
        name: String,
        layer: impl StackLayer,
    ) -> Result<Self, Error> {
        if self.names().any(|taken| taken == name) {
            return Err(Error::configuration(format!(
                "the stack already has a slot called {name:?}: {self}"
            )));
        }
        let slot = Slot {
            name,
            layer: Arc::new(layer),
            is_other: true,
        };
        self.slots.insert(position, slot);
        Ok(self)
    }

    fn position(&self, name: &str) -> Result<usize, Error> {
        self.names()
            .position(|slot| slot == name)
            .ok_or_else(|| Error::configuration(format!("the stack has no slot {name:?}: {self}")))
    }

    /// All layers around `transport`.
    pub(crate) fn build(&self, transport: BoxService) -> BoxService {
        let inward = self.slots.iter().rev();
        inward.fold(transport, |inner, slot| slot.layer.wrap(inner))
    }
}

impl fmt::Display for Stack {
    /// The names of the slots, outermost first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.names().enumerate() {
            if index > 0 {
                f.write_str(" > ")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stack({self})")
    }
}

/// Layers without a slot yet, outermost first, each with the name of its type.
#[derive(Default)]
pub(crate) struct Layers(Vec<(&'static str, Arc<dyn StackLayer>)>);

impl Layers {
    pub(crate) fn push<L: StackLayer>(&mut self, layer: L) {
        self.0.push((short_type_name::<L>(), Arc::new(layer)));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The name of a type without its path and its parameters: `ConcurrencyLimitLayer`.
fn short_type_name<T>() -> &'static str {
    let name = std::any::type_name::<T>();
    let path = name.split('<').next().unwrap_or(name);
    path.rsplit("::").next().unwrap_or(path)
}

/// What a layer must be to go into a [`Stack`]: its service is `Clone + Send + Sync`, takes requests
/// with a [`Full`] body, and returns any body of [`Bytes`] and any error.
///
/// It is implemented for every layer that fits; there is nothing to implement by hand.
///
/// A layer that makes a new request of the one that it is given keeps its extensions: without the
/// [`Call`](idpflare_layers::Call) among them nothing is sent. And when its future is dropped, it
/// drops what it has called. Where it runs that in a task of its own, a call that is given up meanwhile
/// has an unknown outcome, and what must act once is not repeated.
pub trait StackLayer: Send + Sync + 'static {
    /// Puts the layer around `inner`.
    fn wrap(&self, inner: BoxService) -> BoxService;
}

impl<L, B> StackLayer for L
where
    L: Layer<BoxService> + Send + Sync + 'static,
    L::Service:
        Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
    <L::Service as Service<Request<Full<Bytes>>>>::Error: Into<BoxError>,
    <L::Service as Service<Request<Full<Bytes>>>>::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn wrap(&self, inner: BoxService) -> BoxService {
        BoxService::new(self.layer(inner))
    }
}
