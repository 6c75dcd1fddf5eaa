use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{Call, Delivery};

/// What a [`Call`] knows of its transport's search for connections.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    /// How often a transport has begun to look for one.
    sought: AtomicU32,
    /// How often that was given up before there was one.
    given_up: AtomicU32,
    /// Held while a send is being dropped.
    dropping_send: Mutex<()>,
}

impl Call {
    /// Runs `connect`, by which a transport of your own gets a connection, with nothing sent yet. A
    /// send that is dropped meanwhile is known not to have happened.
    ///
    /// ```
    /// use idpflare_layers::{BoxError, Call};
    ///
    /// async fn send(request: http::Request<()>) -> Result<http::Response<()>, BoxError> {
    ///     # let connect = async || Ok::<_, BoxError>(());
    ///     # let exchange = async |_, _| Ok::<_, BoxError>(http::Response::new(()));
    ///     let connection = match Call::of(&request).cloned() {
    ///         Some(call) => call.while_connecting(connect()).await?,
    ///         None => connect().await?,
    ///     };
    ///     exchange(connection, request).await
    /// }
    /// ```
    pub async fn while_connecting<F: Future>(&self, connect: F) -> F::Output {
        let mut connecting = self.connecting();
        let connection = connect.await;
        connecting.done();
        connection
    }

    /// A transport begins to look for a connection, with nothing sent yet. Where that is a future of
    /// its own, [`while_connecting`](Self::while_connecting) is the one to use: a guard that is still
    /// there when the request is on its way makes a request that was sent one that was not.
    pub fn connecting(&self) -> Connecting {
        self.connections().sought.fetch_add(1, Ordering::AcqRel);
        Connecting {
            call: self.clone(),
            is_done: false,
        }
    }

    /// How often [`connecting`](Self::connecting) was called.
    pub(crate) fn connections_sought(&self) -> u32 {
        self.connections().sought.load(Ordering::Acquire)
    }

    /// Runs `drop`, which drops a send that is not over and has looked for connections so often.
    pub(crate) fn drop_send(&self, connecting: u32, drop: impl FnOnce()) {
        let connections = self.connections();
        // One at a time, so that what is given up meanwhile is of this one. Where another is being
        // dropped, be it around this one, the outcome stays unknown, which is the safe mistake.
        let alone = connections.dropping_send.try_lock();
        let before = connections.given_up.load(Ordering::Acquire);
        drop();
        let unsent = connections
            .given_up
            .load(Ordering::Acquire)
            .wrapping_sub(before);
        if alone.is_ok() && unsent > 0 && unsent == connecting {
            self.end_send(Delivery::NotSent);
        }
    }
}

/// A send for which a transport is looking for a connection: see [`Call::connecting`].
///
/// Dropped as it is, it says that nothing was sent. For transports of your own, which hold it in
/// their future; around them, [`DeliveryLayer`](crate::DeliveryLayer) then knows better than that the
/// outcome of what was dropped is unknown.
#[derive(Debug)]
#[must_use = "dropped, it says that nothing was sent"]
pub struct Connecting {
    call: Call,
    is_done: bool,
}

impl Connecting {
    /// The call that it is for.
    #[must_use]
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// There is a connection, or something failed, which an error tells more of.
    pub fn done(&mut self) {
        self.is_done = true;
    }

    /// The request was certainly not sent over that connection, and another one is looked for.
    pub fn again(&mut self) {
        self.is_done = false;
    }
}

impl Drop for Connecting {
    fn drop(&mut self) {
        if !self.is_done {
            let connections = self.call.connections();
            connections.given_up.fetch_add(1, Ordering::AcqRel);
        }
    }
}
